"""Front ends: waveform [clip, sample] to frames [clip, frame, dim], frozen. One module each, one line here.

A front end is an ``nn.Module`` with

- ``name``, ``sample_rate`` (Hz), ``hop`` (samples a frame), ``dim`` (of a frame; even, to be split into halves);
- ``digest``: the sha256 of its weights, which a checkpoint trained on it stores and later insists on; ``precision``,
  one of `PRECISIONS`;
- ``stream(audio)``: the frames of consecutive stretches of ``audio`` float32 [clip, sample], ceil(samples / hop) in
  all, with bounded memory; preparing the audio (loudness, padding) is its business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hear_multiview.frontends.codec import CodecFrontEnd, dac_44khz, demo

#: The only kind so far; a second one makes this a Protocol.
FrontEnd = CodecFrontEnd

#: Name to loader; a loader takes a weight file or None (then it finds its own), and one of `PRECISIONS`.
_LOADERS: dict[str, Callable[[Path | None, str], FrontEnd]] = {
    "dac_44khz": dac_44khz,
    "demo": demo,
}

FRONTENDS = tuple(_LOADERS)
PRECISIONS = ("fp32", "bf16")


def load_frontend(name: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> FrontEnd:
    """The front end ``name`` (of `FRONTENDS`), on the CPU, in eval mode, frozen.

    Raises:
        ValueError: an unknown name or precision, or weights that are not this front end's.
        FileNotFoundError: ``weights`` does not exist.
    """
    if name not in _LOADERS:
        raise ValueError(f"unknown front end {name!r}: choose one of {', '.join(FRONTENDS)}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
    return _LOADERS[name](Path(weights) if weights else None, precision)
