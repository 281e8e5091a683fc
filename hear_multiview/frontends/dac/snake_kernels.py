"""x + sin²(αx) / α in one pass over memory, with a polynomial for the sine; compiled at the first call."""

from __future__ import annotations

import numba
import numpy as np

#: sin²(πr) for r in [−1/2, 1/2] as a polynomial in r², from the highest power to the first; the minimax one, with an
#: error of 6e-9 before rounding.
_SINE_SQUARED = tuple(
    np.float32(k) for k in (-3.27304346, 12.9908075, -30.0859762, 42.7253879, -32.4695813, 9.86960292)
)


@numba.njit(nogil=True, fastmath={"contract"})
def _sine_squared(turns):
    """sin²(π · turns), which has a period of one turn."""
    r = turns - np.rint(turns)
    w = r * r
    y = _SINE_SQUARED[0]
    for k in numba.literal_unroll(_SINE_SQUARED[1:]):
        y = y * w + k
    return y * w


@numba.njit(nogil=True, fastmath={"contract"})
def of_float32(x, out, turns, inverse):
    """Write the activation of ``x`` to ``out``, which may be ``x``.

    Args:
        x, out: float32 [step, channel].
        turns, inverse: α / π and 1 / α, float32 [channel].
    """
    steps, channels = x.shape
    row = np.empty(channels, np.float32)  # not ``out``: as it may be ``x``, the compiler would not vectorise
    for i in range(steps):
        for j in range(channels):
            row[j] = x[i, j] + inverse[j] * _sine_squared(x[i, j] * turns[j])
        for j in range(channels):
            out[i, j] = row[j]


@numba.njit(nogil=True, fastmath={"contract"})
def of_bfloat16(x, out, turns, inverse):
    """The same for bfloat16, as int16 bits: computed in single precision and rounded once, to even."""
    steps, channels = x.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.int32)
    for i in range(steps):
        for j in range(channels):
            exact = np.int32(x[i, j] << 16).view(np.float32)
            row[j] = exact + inverse[j] * _sine_squared(exact * turns[j])
        for j in range(channels):
            out[i, j] = (bits[j] + 0x7FFF + ((bits[j] >> 16) & 1)) >> 16
