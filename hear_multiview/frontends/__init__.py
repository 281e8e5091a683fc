"""Front ends: waveform [clip, sample] to frames [clip, frame, dim], frozen. One module each, one line here; and any
HEAR module, by the name ``hear:<module>``. What a front end has is in `FrontEnd`; besides, it is an ``nn.Module``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from hear_multiview.frontends.codec import dac_44khz, demo
from hear_multiview.frontends.hear_module import ANY_MODULE, PREFIX, HearModuleFrontEnd
from hear_multiview.frontends.log_mel import load_log_mel


class FrontEnd(Protocol):
    """What is used of a front end, which is an ``nn.Module`` in eval mode without gradients."""

    @property
    def name(self) -> str:
        """What `load_frontend` knows it by."""

    @property
    def sample_rate(self) -> int:
        """Of the audio it takes, in Hz."""

    @property
    def hop(self) -> float:
        """Samples a frame."""

    @property
    def dim(self) -> int:
        """Of a frame; even, to be split into halves."""

    @property
    def digest(self) -> str:
        """The sha256 of its weights, which a checkpoint trained on it stores and later insists on."""

    @property
    def precision(self) -> str:
        """One of `PRECISIONS`."""

    def stream(self, audio: Tensor) -> Iterator[Tensor]:
        """The frames of consecutive stretches of ``audio`` float32 [clip, sample], each float32 [clip, frame, dim],
        with bounded memory where it can; preparing the audio (loudness, padding) is its business."""

    def frame_times(self, samples: int) -> Tensor:
        """Where the frames of clips of ``samples`` samples lie, in milliseconds, float32 [frame] on the CPU. Frames of
        ``stream`` beyond these are no part of an embedding."""

    # What it has as an nn.Module.

    @property
    def training(self) -> bool:
        """False."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its tensors, which ask for no gradient."""

    def to(self, device: str) -> object:
        """Move its tensors, in place."""


#: Name to loader; a loader takes a weight file or None (then it finds its own), and one of `PRECISIONS`.
LOADERS: dict[str, Callable[[Path | None, str], FrontEnd]] = {
    "dac_44khz": dac_44khz,
    "demo": demo,
    "log_mel": load_log_mel,
}

FRONTENDS = tuple(LOADERS)
PRECISIONS = ("fp32", "bf16")


def load_frontend(name: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> FrontEnd:
    """The front end ``name`` (of `FRONTENDS`, or ``hear:<module>``), on the CPU, in eval mode, frozen.

    Raises:
        ValueError: an unknown name or precision, weights that are not this front end's, or a module that cannot be one.
        FileNotFoundError: ``weights`` does not exist.
    """
    if name not in LOADERS and not name.startswith(PREFIX):
        raise ValueError(f"unknown front end {name!r}: choose one of {', '.join((*FRONTENDS, ANY_MODULE))}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
    path = Path(weights) if weights else None
    return HearModuleFrontEnd(name, path, precision) if name.startswith(PREFIX) else LOADERS[name](path, precision)
