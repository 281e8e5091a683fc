"""The codec's activation for inference; on a CPU in one pass over memory."""

from __future__ import annotations

import math

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Snake(nn.Module):
    """Snake, x + sin²(αx) / α (Ziyin et al. 2020, arXiv 2006.08195), with fixed α; on a CPU within 1e-6 / α of it."""

    alpha: Tensor

    def __init__(self, alpha: Tensor) -> None:
        """``alpha``: [1, channel, 1]."""
        super().__init__()
        self.register_buffer("alpha", alpha.detach()[..., None].clone())

    def forward(self, x: Tensor, *, overwrite: bool = False) -> Tensor:
        """x [clip, channel, 1, step], and so is the result, computed in single precision. With ``overwrite`` it may be
        written over x."""
        alpha = self.alpha.float()
        inverse = (alpha + 1e-9).reciprocal()
        if x.device.type != "cpu":
            exact = x.float()
            return torch.addcmul(exact, inverse, torch.mul(exact, alpha).sin_().square_()).to(x.dtype)
        # Lazy, because importing numba is slow.
        from hear_multiview.frontends.dac import snake_kernels

        x = x.contiguous(memory_format=torch.channels_last)
        out = x if overwrite else torch.empty_like(x)
        parameters = (alpha / math.pi).flatten().numpy(), inverse.flatten().numpy()
        if x.dtype == torch.float32:
            snake_kernels.of_float32(_rows(x), _rows(out), *parameters)
        else:
            snake_kernels.of_bfloat16(_rows(x.view(torch.int16)), _rows(out.view(torch.int16)), *parameters)
        return out


def _rows(x: Tensor) -> NDArray:
    """x, which is channels last, as [clip and step, channel] in the same memory."""
    return x.permute(0, 2, 3, 1).flatten(0, 2).numpy()
