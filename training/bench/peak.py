"""The peak arithmetic rate of this machine: its fastest matrix product and convolution."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from hear_multiview import onednn


def peak_flops(dtype: torch.dtype, size: int = 1024, repeats: int = 3, device: str = "cpu") -> dict[str, float]:
    """Measure the peak rate of matrix products and of convolutions like the codec's.

    Args:
        dtype: type of the operands.
        size: rows and columns of the matrices.
        repeats: number of measurements of each operation; the fastest counts.
        device: where to compute.

    Returns:
        FLOP/s: "matmul" is the faster of torch and oneDNN on square matrices; "best" is the fastest of these and of
        convolutions, without the time for reordering their input.
    """
    a = torch.randn(size, size, dtype=dtype, device=device)
    products = [(lambda: a @ a, 2 * size**3)]
    if onednn.has_linear(a):
        products.append((lambda: onednn.linear(a, a), 2 * size**3))
    convolutions = [_convolution(channels, size, dtype, device) for channels in (64, 128, 256, 512)]
    with torch.inference_mode():
        matmul, best = (
            max(flop / min(_seconds(run) for _ in range(repeats)) for run, flop in runs)
            for runs in (products, products + convolutions)
        )
    return {"matmul": matmul, "best": best}


def _convolution(channels: int, size: int, dtype: torch.dtype, device: str) -> tuple[Callable[[], Tensor], int]:
    """Return a convolution of 7 taps, ready to run, and its FLOP."""
    steps = size * 1024 // channels
    x = torch.randn(1, channels, 1, steps, device=device).to(dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 1, 7, device=device).to(dtype)
    geometry = onednn.geometry(padding=3)
    if onednn.has_convolution(x):
        weight = onednn.packed(weight, geometry, x)
    return lambda: onednn.convolution(x, weight, None, geometry), 2 * channels * channels * 7 * steps


def _seconds(run: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    run()[(0,) * 2].sum().item()  # synchronises a GPU
    return time.perf_counter() - start
