"""Patches of a few frames, each through a linear layer and an MLP side by side, for the two halves separately.

What sounds shows in how the spectrum moves from frame to frame; a place and its microphone show in the spectrum itself.
So each half has its own net, and the private half's patches are longer. The linear layer keeps what it is given: its
mean and deviation over time are those of linear combinations of the spectrum, already a strong description.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hear_multiview.encoders.base import Pool
from hear_multiview.encoders.linear import Linear
from hear_multiview.encoders.private_shared import mlp


class PatchEncoder(nn.Module):
    """Front-end frames x [clip, frame, dim] to the parts ``private`` and ``shared``, one frame for every two.

    >>> encoder = PatchEncoder(dim=64)
    >>> [part.shape for part in encoder(torch.zeros(3, 5, 64))]
    [torch.Size([3, 3, 384]), torch.Size([3, 3, 128])]
    """

    mean: Tensor
    scale: Tensor
    stride = 2

    def __init__(
        self,
        dim: int,
        private: int = 384,
        shared: int = 128,
        private_frames: int = 8,
        shared_frames: int = 2,
        width: int = 512,
        pool: Pool = "statistics",
    ) -> None:
        """Make an untrained encoder.

        Args:
            dim: dimensions of a front-end frame.
            private, shared: sizes of the two parts.
            private_frames, shared_frames: frames of a patch of each part; even, at least 2.
            width: of the MLPs' one hidden layer.
            pool: how frames become a scene embedding.

        Raises:
            ValueError: a patch has an odd number of frames.
        """
        super().__init__()
        frames = {"private_frames": private_frames, "shared_frames": shared_frames}
        for name, count in frames.items():
            if count < 2 or count % 2:
                raise ValueError(f"{name} is {count}; give an even number, 2 or more")
        self.pool = pool
        self.parts = {"private": private, "shared": shared}
        self.arguments = {"kind": "patches", "dim": dim, **self.parts, **frames, "width": width, "pool": pool}
        self.context = max(frames.values()) // 2 - 1
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.private = _Patches(dim, private_frames, width, private)
        self.shared = _Patches(dim, shared_frames, width, shared)

    def standardise(self, x: Tensor) -> Tensor:
        """x [..., dim] with the training frames' mean removed, over their standard deviation."""
        return (x - self.mean) / self.scale

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [clip, frame, dim] to (z_private, z_shared), [clip, ceil(frame / 2), size] each."""
        x = self.standardise(x)
        return self.private(x), self.shared(x)


class _Patches(nn.Module):
    """Two neighbouring frames, and as many more on either side as make ``frames``, to ``size`` numbers."""

    def __init__(self, dim: int, frames: int, width: int, size: int) -> None:
        super().__init__()
        self.frames = frames
        self.linear = Linear(dim * frames, size)
        self.net = mlp(dim * frames, width, 1, size)

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, frame, dim] to [clip, ceil(frame / 2), size]; beyond the ends of x there are zeros."""
        side = self.frames // 2 - 1
        padded = nn.functional.pad(x, (0, 0, side, side + x.shape[1] % 2))
        patches = padded.unfold(1, self.frames, 2).flatten(2)
        out: Tensor = self.linear(patches) + self.net(patches)
        return out
