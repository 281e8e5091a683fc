"""The codec's activation for inference. On a CPU it is one pass over memory, with a polynomial for the sine."""

from __future__ import annotations

import math

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: sin²(πr) for r in [−1/2, 1/2] as a polynomial in r², from the highest power to the first: the least maximal error,
#: 6e-9 before rounding.
_SINE_SQUARED = tuple(
    np.float32(k) for k in (-3.27304346, 12.9908075, -30.0859762, 42.7253879, -32.4695813, 9.86960292)
)


class Snake(nn.Module):
    """The codec's activation x + sin²(αx) / α with fixed α; on a CPU within 1e-6 / α of it."""

    alpha: Tensor

    def __init__(self, alpha: Tensor) -> None:
        """``alpha``: [1, channel, 1]."""
        super().__init__()
        self.register_buffer("alpha", alpha.detach()[..., None].clone())

    def forward(self, x: Tensor, *, overwrite: bool = False) -> Tensor:
        """x [clip, channel, 1, step], and so is the result, which is computed in single precision. With ``overwrite``
        it may lie where x did."""
        alpha = self.alpha.float()
        inverse = (alpha + 1e-9).reciprocal()
        if x.device.type != "cpu":
            exact = x.float()
            return torch.addcmul(exact, inverse, torch.mul(exact, alpha).sin_().square_()).to(x.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        out = x if overwrite else torch.empty_like(x)
        parameters = (alpha / math.pi).flatten().numpy(), inverse.flatten().numpy()
        if x.dtype == torch.float32:
            _snake_of_float32(_rows(x), _rows(out), *parameters)
        else:
            _snake_of_bfloat16(_rows(x.view(torch.int16)), _rows(out.view(torch.int16)), *parameters)
        return out


def _rows(x: Tensor) -> NDArray:
    """x, whose channels lie last, as [clip and step, channel] in the same memory."""
    return x.permute(0, 2, 3, 1).flatten(0, 2).numpy()


@numba.njit(nogil=True, fastmath={"contract"})
def _sine_squared(turns):
    """sin²(π · turns), which repeats itself at every whole turn."""
    r = turns - np.rint(turns)
    w = r * r
    y = _SINE_SQUARED[0]
    for k in numba.literal_unroll(_SINE_SQUARED[1:]):
        y = y * w + k
    return y * w


@numba.njit(nogil=True, fastmath={"contract"})
def _snake_of_float32(x, out, turns, inverse):
    steps, channels = x.shape
    row = np.empty(channels, np.float32)
    for i in range(steps):
        for j in range(channels):
            row[j] = x[i, j] + inverse[j] * _sine_squared(x[i, j] * turns[j])
        for j in range(channels):
            out[i, j] = row[j]


@numba.njit(nogil=True, fastmath={"contract"})
def _snake_of_bfloat16(x, out, turns, inverse):
    steps, channels = x.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.int32)
    for i in range(steps):
        for j in range(channels):
            exact = np.int32(x[i, j] << 16).view(np.float32)
            row[j] = exact + inverse[j] * _sine_squared(exact * turns[j])
        for j in range(channels):
            out[i, j] = (bits[j] + 0x7FFF + ((bits[j] >> 16) & 1)) >> 16
