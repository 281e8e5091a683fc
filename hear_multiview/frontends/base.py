"""What every front end has, and how front ends are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hear_multiview.audio.streamed import Audio

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

    def stream(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all frames of ``audio``, a chunk at a time, in bounded memory where it can.

        What it yields depends on ``audio`` alone. Preparing the audio (loudness, padding) is the front end's task.

        Args:
            audio: float32 [clip, sample]; ``audio[:, start:stop]`` is a tensor, all of it may not be.

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
