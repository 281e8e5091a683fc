"""Frozen front ends: waveform [clip, sample] to frames [clip, frame, dim]. One module each, one line here; and any HEAR
module, by the name ``hear:<module>``. `FrontEnd` says what a front end has; it is also an ``nn.Module``.

torch is imported by a front end's own module, when it is loaded: help and error messages name all of them without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

#: A HEAR module's name as a front end is this and the module's name, as it is imported.
PREFIX = "hear:"
#: How such a name is written in help and error messages.
ANY_MODULE = f"{PREFIX}<module>"
PRECISIONS = ("fp32", "bf16")


class FrontEnd(Protocol):
    """What is used of a front end: an ``nn.Module`` in eval mode without gradients."""

    @property
    def name(self) -> str:
        """The name that `load_frontend` takes."""

    @property
    def sample_rate(self) -> int:
        """Sample rate of the audio it takes, in Hz."""

    @property
    def hop(self) -> float:
        """Hop size: samples per frame; not always a whole number."""

    @property
    def dim(self) -> int:
        """Number of dimensions of a frame; must be even, so that it can be split into halves."""

    @property
    def digest(self) -> str:
        """The sha256 of its weights. A checkpoint stores it, and later accepts no other."""

    @property
    def precision(self) -> str:
        """Precision of its arithmetic, one of `PRECISIONS`."""

    @property
    def padded(self) -> bool:
        """Whether frames are centred on ``(i + 0.5) · hop`` samples and the last one may be mostly padding. A frame
        whose centre lies beyond the end of the audio is then not part of an embedding."""

    def stream(self, audio: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all frames of ``audio``, a chunk at a time, in bounded memory where it can.

        What it yields depends on ``audio`` alone. Preparing the audio (loudness, padding) is the front end's task.

        Args:
            audio: float32 [clip, sample].

        Yields:
            Frames float32 [clip, frame, dim] on the device of ``audio``, and where they lie in time, in milliseconds,
            float32 [frame] on the CPU.
        """

    # What it has as an nn.Module:

    @property
    def training(self) -> bool:
        """Always False."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its parameters, none of which requires a gradient."""

    def to(self, device: str) -> object:
        """Move its tensors in place."""


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
