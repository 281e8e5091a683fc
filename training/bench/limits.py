"""What this machine can do at best: its fastest matrix product and convolution."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from hear_multiview.encoders.linear import has_products
from hear_multiview.frontends.dac.encoder import _packs


def rates(dtype: torch.dtype, size: int = 1024, repeats: int = 3, device: str = "cpu") -> dict[str, float]:
    """FLOP/s of products of square matrices, by torch's own library or oneDNN, whichever is faster ("matmul"), and of
    the best of these and of convolutions as the codec has them, without the rearranging of what goes in ("best")."""
    a = torch.randn(size, size, dtype=dtype, device=device)
    products = [(lambda: a @ a, 2 * size**3)]
    if has_products(a):
        products.append((lambda: torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], ""), 2 * size**3))
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
    geometry = [0, 3], [1, 1], [1, 1]
    flop = 2 * channels * channels * 7 * steps
    if not _packs(x):  # not every processor has it in bf16
        return lambda: torch.nn.functional.conv2d(x, weight, padding=(0, 3)), flop
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, 1, list(x.shape))
    return lambda: torch.ops.mkldnn._convolution_pointwise(x, packed, None, *geometry, 1, "none", [], ""), flop


def _seconds(run: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    run()[(0,) * 2].sum().item()  # waits for a GPU
    return time.perf_counter() - start
