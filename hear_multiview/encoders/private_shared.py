"""The private/shared encoder: one MLP, frame by frame, the same for every view (section 2 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from hear_multiview.encoders.linear import Linear
from hear_multiview.encoders.pooling import Pool

#: What an embedding may be (`views_of` this encoder): both halves, one of them, or the front end's own output.
VIEWS = ("joint", "private", "shared", "frontend")


def mlp(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """A multi-layer perceptron over the last axis: ``depth`` hidden layers of ``width``, each normalised, then GELU.

    The paper says only "MLP". LayerNorm keeps a learning rate of 1e-3 stable for every width and depth we tried, and
    unlike batch statistics it treats a frame the same whatever else is in the batch.
    """
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [Linear(inputs, width), nn.LayerNorm(width), nn.GELU()]
        inputs = width
    return nn.Sequential(*layers, Linear(inputs, outputs))


class PrivateSharedEncoder(nn.Module):
    """Front-end frames x [..., dim] to z_private and z_shared [..., latent / 2].

    Frames are first standardised with the mean and scale of each dimension over the training frames: the dimensions of
    a codec's latents differ in scale by orders of magnitude, and an MSE over raw latents would see only the largest.

    >>> encoder = PrivateSharedEncoder(dim=8, width=16, depth=1)
    >>> private, shared = encoder(torch.zeros(3, 5, 8))
    >>> private.shape, shared.shape
    (torch.Size([3, 5, 4]), torch.Size([3, 5, 4]))
    """

    mean: Tensor
    scale: Tensor
    stride, context = 1, 0
    pools: Mapping[str, Pool] = MappingProxyType({"private": "mean", "shared": "mean"})

    def __init__(self, dim: int, width: int = 512, depth: int = 2, latent: int | None = None) -> None:
        """Make an untrained encoder.

        Args:
            dim: dimensions of a front-end frame.
            width, depth: size and number of the MLP's hidden layers.
            latent: size of both halves together, even; None is ``dim``, as in the paper.
        """
        super().__init__()
        self.dim, self.width, self.depth, self.latent = dim, width, depth, latent or dim
        if self.latent % 2:
            what = "dim" if latent is None else "latent"
            raise ValueError(f"{what} must be even, to be split in halves, not {self.latent}; give an even number")
        self.parts = {"private": self.latent // 2, "shared": self.latent // 2}
        self.arguments = {"kind": "mlp", "dim": dim, "width": width, "depth": depth, "latent": self.latent}
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.net = mlp(dim, width, depth, self.latent)

    def standardise(self, x: Tensor) -> Tensor:
        """x [..., dim] with the training frames' mean removed, over their standard deviation."""
        return (x - self.mean) / self.scale

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [..., dim] to (z_private, z_shared), each [..., latent / 2]."""
        return self.halves(self.standardise(x))

    def halves(self, standardised: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives for frames that went through `standardise` already."""
        private, shared = self.net(standardised).chunk(2, dim=-1)
        return private, shared
