"""Convolutional encoders, whose frames see their neighbours: over time and frequency, or over time alone.

Both are stacks of layers: a convolution with three taps, zero padding of one and a stride in time; normalisation over
channels; GELU. A linear layer for each frame comes last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from hear_multiview.encoders.linear import Linear
from hear_multiview.encoders.pooling import Pool


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of x [clip, channel, ...], at each place by itself.

    Unlike batch normalisation it treats a frame the same whatever else is in the batch, also in training, where
    processes may share a batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, channel, ...], and so is the result."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Conv2dEncoder(nn.Module):
    """Log-mel-like frames x [clip, frame, dim], as an image of time and frequency, to one part, ``embedding``.

    Small, in the manner of COLA (Saeed et al. 2021, arXiv 2010.10915). Every layer halves the number of bands.

    >>> encoder = Conv2dEncoder(dim=64)
    >>> encoder.stride, encoder.context, [part.shape for part in encoder(torch.zeros(2, 96, 64))]
    (8, 15, [torch.Size([2, 12, 256])])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        channels: Sequence[int] = (16, 32, 64, 128),
        strides: Sequence[int] = (2, 2, 2, 1),
        latent: int = 256,
        frequency: Literal["flatten", "max"] = "flatten",
        pool: Pool = "max",
    ) -> None:
        """Make an untrained encoder.

        Args:
            dim: bands of a front-end frame.
            channels, strides: of each layer; the strides are those in time.
            latent: size of the embedding.
            frequency: what becomes of the bands that are left: ``flatten`` keeps their places, and with them pitch;
                ``max`` takes each channel's largest.
            pool: how frames become a scene embedding.
        """
        super().__init__()
        if frequency not in ("flatten", "max"):
            raise ValueError(f"unknown frequency {frequency!r}; choose flatten or max")
        self.frequency, self.parts, self.pools = frequency, {"embedding": latent}, {"embedding": pool}
        sizes = {"dim": dim, "channels": list(channels), "strides": list(strides), "latent": latent}
        self.arguments = {"kind": "conv2d", **sizes, "frequency": frequency, "pool": pool}
        self.stride, self.context = _reach(strides)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        net = _layers(nn.Conv2d, [1, *channels], [(stride, 2) for stride in strides])
        # ChannelNorm then needs no copies, and a training step on a CPU takes a sixth less time.
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        bands = math.ceil(dim / 2 ** len(channels)) if frequency == "flatten" else 1
        self.output = Linear(channels[-1] * bands, latent)

    def standardise(self, x: Tensor) -> Tensor:
        """x [..., dim] with the training frames' mean removed, over their standard deviation."""
        return (x - self.mean) / self.scale

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """x [clip, frame, dim] to ([clip, ceil(frame / stride), latent],)."""
        image = self.standardise(x)[:, None].contiguous(memory_format=torch.channels_last)
        y = self.net(image).transpose(1, 2)  # [clip, frame, channel, band]
        return (self.output(y.flatten(2) if self.frequency == "flatten" else y.amax(3)),)


class Conv1dEncoder(nn.Module):
    """Frames x [clip, frame, dim], whose dimensions are the channels, to one part, ``embedding``.

    For the front end ``waveform`` the first layer is a learned filterbank over three blocks of samples.

    >>> encoder = Conv1dEncoder(dim=256)
    >>> encoder.stride, encoder.context, [part.shape for part in encoder(torch.zeros(2, 96, 256))]
    (4, 4, [torch.Size([2, 24, 256])])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        channels: Sequence[int] = (256, 256, 256),
        strides: Sequence[int] = (1, 2, 2),
        latent: int = 256,
        pool: Pool = "max",
    ) -> None:
        """As for `Conv2dEncoder`; ``dim``: of a front-end frame."""
        super().__init__()
        self.parts, self.pools = {"embedding": latent}, {"embedding": pool}
        sizes = {"dim": dim, "channels": list(channels), "strides": list(strides), "latent": latent}
        self.arguments = {"kind": "conv1d", **sizes, "pool": pool}
        self.stride, self.context = _reach(strides)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.net = _layers(nn.Conv1d, [dim, *channels], strides)
        self.output = Linear(channels[-1], latent)

    def standardise(self, x: Tensor) -> Tensor:
        """x [..., dim] with the training frames' mean removed, over their standard deviation."""
        return (x - self.mean) / self.scale

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """x [clip, frame, dim] to ([clip, ceil(frame / stride), latent],)."""
        return (self.output(self.net(self.standardise(x).transpose(1, 2)).transpose(1, 2)),)


def _layers(
    convolution: Callable[..., nn.Module], channels: Sequence[int], strides: Sequence[int | tuple[int, int]]
) -> nn.Sequential:
    """``convolution`` from each of the ``channels`` to the next one, normalised, then GELU."""
    if len(strides) != len(channels) - 1:
        raise ValueError(f"{len(channels) - 1} layers have {len(strides)} strides; give one for each")
    layers: list[nn.Module] = []
    for inputs, outputs, stride in zip(channels, channels[1:], strides, strict=False):
        layers += [convolution(inputs, outputs, 3, stride, padding=1), ChannelNorm(outputs), nn.GELU()]
    return nn.Sequential(*layers)


def _reach(strides: Sequence[int]) -> tuple[int, int]:
    """Stride and context of layers with these ``strides``.

    Each layer sees one of its input steps on either side of the one that it is at. Output frame j is at input frame
    ``j · stride``, the first of those that it stands for, so that it sees furthest to the left.
    """
    stride, context = 1, 0
    for own in strides:
        context += stride
        stride *= own
    return stride, context
