"""What stays and what changes: the local mean of the frames to the shared half, the rest to the private half.

A place and its microphone add the same to every frame of a log spectrum, and the background changes slowly; what sounds
changes it from frame to frame. So frames are divided into their mean over about two seconds and what is left, and each
half has a net of its own for its share: a linear layer and an MLP side by side on patches of a few frames. The division
learns nothing, and separates the two questions by itself; training improves the answers (docs/results.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hear_multiview.encoders.linear import Linear
from hear_multiview.encoders.pooling import Pool
from hear_multiview.encoders.private_shared import mlp


class PatchEncoder(nn.Module):
    """Front-end frames x [clip, frame, dim] to the parts ``private`` and ``shared``, one frame for every two.

    >>> encoder = PatchEncoder(dim=64)
    >>> [part.shape for part in encoder(torch.zeros(3, 5, 64))]
    [torch.Size([3, 3, 256]), torch.Size([3, 3, 256])]
    """

    mean: Tensor
    scale: Tensor
    stride = 2

    def __init__(
        self,
        dim: int,
        private: int = 256,
        shared: int = 256,
        private_frames: int = 8,
        shared_frames: int = 2,
        window: int = 63,
        width: int = 512,
        pool: Pool = "statistics",
        shared_pool: Pool | None = None,
    ) -> None:
        """Make an untrained encoder.

        Args:
            dim: dimensions of a front-end frame.
            private, shared: sizes of the two parts.
            private_frames, shared_frames: frames of a patch of each part; even, at least 2.
            window: frames whose mean counts as what stays, odd: as many before a frame as after it.
            width: of the MLPs' one hidden layer.
            pool: how frames become a scene embedding.
            shared_pool: the same for the shared part only; None is ``pool``.

        Raises:
            ValueError: a patch has an odd number of frames, or the window an even one.
        """
        super().__init__()
        frames = {"private_frames": private_frames, "shared_frames": shared_frames}
        for name, count in frames.items():
            if count < 2 or count % 2:
                raise ValueError(f"{name} is {count}; give an even number, 2 or more")
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window is {window}; give an odd number of frames")
        self.window = window
        self.parts = {"private": private, "shared": shared}
        self.pools = {"private": pool, "shared": shared_pool or pool}
        self.arguments = {"kind": "patches", "dim": dim, **self.parts, **frames, "window": window}
        self.arguments |= {"width": width, "pool": pool, "shared_pool": shared_pool}
        self.context = window // 2 + max(frames.values()) // 2 - 1
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
        side = self.window // 2  # at the ends of x, the mean is over the frames that there are
        stays = nn.functional.avg_pool1d(x.mT, self.window, 1, side, count_include_pad=False).mT
        return self.private(x - stays), self.shared(stays)


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
