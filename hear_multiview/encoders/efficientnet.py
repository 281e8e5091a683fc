"""EfficientNet-B0 (Tan & Le 2019, arXiv 1905.11946) on log-mel frames, the encoder of COLA and of arXiv 2505.18984.

The layers are torchvision's. Their squeeze-and-excitation takes means over time, so a frame would depend on everything
else in its clip. Here it depends on a window of 96 frames instead, 0.96 s at 10 ms, which is what the papers train on.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hear_multiview.encoders.linear import Linear
from hear_multiview.encoders.pooling import Pool

#: Frames from one output to the next, by the five halvings of EfficientNet, and on either side of these in a window.
STRIDE = CONTEXT = 32
_FEATURES = 1280


class EfficientNetEncoder(nn.Module):
    """Log-mel frames x [clip, frame, dim], as an image of time and frequency, to one part, ``embedding``.

    Output frame j is what EfficientNet-B0 has in the middle of a window of three times 32 frames around those that j
    stands for, with zeros beyond the clip's ends. In training, batch normalisation sees all that
    a process has of the batch. Untrained, it has no statistics yet, and every embedding is nearly the same.

    >>> encoder = EfficientNetEncoder(dim=64).eval()
    >>> encoder.stride, encoder.context, [part.shape for part in encoder(torch.zeros(2, 96, 64))]
    (32, 32, [torch.Size([2, 3, 512])])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        dim: int,
        latent: int = 512,
        frequency: Literal["flatten", "max"] = "max",
        pool: Pool = "max",
    ) -> None:
        """Make an untrained encoder.

        Args:
            dim: bands of a front-end frame.
            latent: size of the embedding.
            frequency: what becomes of the bands that are left, of every 32 one: ``max`` as in the papers, or
                ``flatten``, which keeps their places.
            pool: how frames become a scene embedding.

        Raises:
            ValueError: an unknown ``frequency``, or torchvision is not installed.
        """
        super().__init__()
        if frequency not in ("flatten", "max"):
            raise ValueError(f"unknown frequency {frequency!r}; choose flatten or max")
        try:
            from torchvision.models import efficientnet_b0
        except ImportError as error:
            raise ValueError(
                f"encoder efficientnet_b0 needs torchvision ({error}); install the extra `efficientnet`"
            ) from error
        self.frequency, self.parts, self.pools = frequency, {"embedding": latent}, {"embedding": pool}
        self.arguments = {
            "kind": "efficientnet_b0", "dim": dim, "latent": latent, "frequency": frequency, "pool": pool
        }  # fmt: skip
        self.stride, self.context = STRIDE, CONTEXT
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        net = efficientnet_b0().features
        net[0][0] = nn.Conv2d(1, net[0][0].out_channels, 3, stride=2, padding=1, bias=False)  # one channel, not three
        self.net = net.to(memory_format=torch.channels_last)
        self.output = Linear(_FEATURES * (-(-dim // 32) if frequency == "flatten" else 1), latent)

    def standardise(self, x: Tensor) -> Tensor:
        """x [..., dim] with the training frames' mean removed, over their standard deviation."""
        return (x - self.mean) / self.scale

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """x [clip, frame, dim] to ([clip, ceil(frame / 32), latent],)."""
        clips, frames, _ = x.shape
        count = -(-frames // STRIDE)
        padded = pad(self.standardise(x), (0, 0, CONTEXT, CONTEXT + count * STRIDE - frames))
        windows = padded.unfold(1, STRIDE + 2 * CONTEXT, STRIDE)  # [clip, count, dim, 96]
        images = windows.flatten(0, 1).mT[:, None].contiguous(memory_format=torch.channels_last)
        y = self.net(images)[:, :, 1]  # [clip · count, feature, band]: the middle of three in time
        y = y.flatten(1) if self.frequency == "flatten" else y.amax(2)
        return (self.output(y).unflatten(0, (clips, count)),)
