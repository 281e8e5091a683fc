"""oneDNN's operations as torch has them for itself: products and convolutions, on a CPU, faster than the public ones.

They are private to torch and may change or go. So nothing else in the project calls them, whoever does asks first
whether they are there for a given tensor, and without them torch's public operations do the same. `TRIED` are the
versions of torch with which the tests passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

TRIED = ("2.6", "2.11", "2.13", "2.15")


def has_linear(x: Tensor) -> bool:
    """Whether `linear` can be called for the likes of ``x``."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not x.numel():
        return False
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [row, in] · weightᵀ [in, out] + bias [out], as `torch.nn.functional.linear` has it; without a gradient."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def flop_counters() -> dict[Any, Callable[..., int]]:
    """How many FLOP `linear` takes, for the ``custom_mapping`` of torch's ``FlopCounterMode``, which does not know."""

    def of_linear(x: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
        return 2 * x.numel() * weight[0]

    return {torch.ops.mkldnn._linear_pointwise: of_linear} if has_linear(torch.ones(1)) else {}


class Geometry(NamedTuple):
    """Of a convolution over the last of two axes."""

    padding: list[int]
    stride: list[int]
    dilation: list[int]


def geometry(padding: int, stride: int = 1, dilation: int = 1) -> Geometry:
    """Of a convolution over steps x [clip, channel, 1, step]."""
    return Geometry([0, padding], [1, stride], [1, dilation])


def has_convolution(x: Tensor) -> bool:
    """Whether `packed` can be called for the likes of ``x``; in bfloat16, not every processor has it."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_convolution_weight"):
        return False
    return x.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def packed(weight: Tensor, shape: Geometry, x: Tensor) -> Tensor:
    """The ``weight`` [out, in, 1, tap] in oneDNN's own blocks, which suit the size of ``x``, for `convolution`."""
    blocks: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *shape, 1, list(x.shape))
    return blocks


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, shape: Geometry, residual: Tensor | None = None
) -> Tensor:
    """The convolution of x [clip, channel, 1, step] with ``weight``, which is `packed` or as torch has it.

    Args:
        residual: what the result is added to, in place. Like x it lies channels last where ``weight`` is packed.
    """
    if not weight.is_mkldnn:
        y = nn.functional.conv2d(x, weight, bias, shape.stride, shape.padding, shape.dilation)
        return y if residual is None else residual.add_(y)
    if residual is None:
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *shape, 1, "none", [], "")
    given = residual, x, weight, bias, *shape, 1
    return torch.ops.mkldnn._convolution_pointwise_.binary(*given, "add", 1.0, None, [], None)
