"""What this machine can do at best: its fastest matrix product and convolution."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from hear_multiview import onednn


def rates(dtype: torch.dtype, size: int = 1024, repeats: int = 3, device: str = "cpu") -> dict[str, float]:
    """FLOP/s of products of square matrices, by torch's own library or oneDNN, whichever is faster ("matmul"), and of
    the best of these and of convolutions as the codec has them, without the rearranging of what goes in ("best")."""
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
    steps = size * 1024 // channels
    x = torch.randn(1, channels, 1, steps, device=device).to(dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 1, 7, device=device).to(dtype)
    geometry = onednn.geometry(padding=3)
    if onednn.has_convolution(x):
        weight = onednn.packed(weight, geometry, x)
    return lambda: onednn.convolution(x, weight, None, geometry), 2 * channels * channels * 7 * steps


def _seconds(run: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    run()[(0,) * 2].sum().item()  # waits for a GPU
    return time.perf_counter() - start
