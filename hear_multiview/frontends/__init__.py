"""Frozen front ends: waveform [clip, sample] to frames [clip, frame, dim]. One module each, one line here; and any HEAR
module, by the name ``hear:<module>``. `hear_multiview.frontends.base.FrontEnd` says what a front end has.

torch is imported by a front end's own module, when it is loaded: help and error messages name all of them without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from hear_multiview.frontends.base import ANY_MODULE, PRECISIONS, PREFIX, FrontEnd

#: Takes a weight file, or None to find its own, and one of `PRECISIONS`.
Loader = Callable[[Path | None, str], FrontEnd]


def loader(module: str, function: str) -> Loader:
    """The `Loader` called ``function`` in a ``module`` of this package, imported when a front end is loaded."""

    def load(weights: Path | None, precision: str) -> FrontEnd:
        front: FrontEnd = getattr(import_module(f"{__name__}.{module}"), function)(weights, precision)
        return front

    return load


#: Name to loader.
LOADERS: dict[str, Loader] = {
    "dac_44khz": loader("dac.frontend", "dac_44khz"),
    "demo": loader("dac.frontend", "demo"),
    "log_mel": loader("log_mel", "load_log_mel"),
    "log_mel_16k": loader("log_mel", "load_log_mel_16k"),
    "waveform": loader("waveform", "load_waveform"),
}


def names() -> tuple[str, ...]:
    """What `load_frontend` takes: every name that is in `LOADERS` now, and the form of a HEAR module's name."""
    return *LOADERS, ANY_MODULE


def load_frontend(name: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> FrontEnd:
    """Load the front end ``name`` (one of `names`), on the CPU, in eval mode, frozen.

    Raises:
        ValueError: an unknown name or precision, weights of another front end, or a module that cannot be one.
        FileNotFoundError: ``weights`` does not exist.
    """
    import torch

    if name not in LOADERS and not name.startswith(PREFIX):
        raise ValueError(f"unknown front end {name!r}; choose from {', '.join(names())}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; choose from {', '.join(PRECISIONS)}")
    path = Path(weights) if weights else None
    with torch.inference_mode(False):  # a tensor made in inference mode has no version counter
        if name in LOADERS:
            return LOADERS[name](path, precision)
        from hear_multiview.frontends.hear_module import HearModuleFrontEnd

        return HearModuleFrontEnd(name, path, precision)
