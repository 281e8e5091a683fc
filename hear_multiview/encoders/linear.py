"""A linear layer that trains with the faster of two matrix products on a CPU: torch's own or oneDNN's.

torch takes its products from MKL. On processors of other makers than Intel, MKL can run at less than half of oneDNN's
speed; elsewhere it is the faster one, or that depends on the size. So the two are timed, once in a process for layers
of about one size. Embedding keeps torch's own product, bit by bit, as the front end takes nearly all of the time there.
So does autocast, whose products in bfloat16 are oneDNN's already.
"""

from __future__ import annotations

import math
import os
import time
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hear_multiview import onednn

#: Rows at a time for the gradient of a weight: so few stay in the cache when they are transposed.
ROWS = 2048
#: Names of the two products. Their last digits differ, so a run that has to give the same bytes again keeps to one.
PRODUCTS = ("torch", "onednn")
#: The environment variable that fixes the product for a process, instead of the measurement.
VARIABLE = "HEAR_MULTIVIEW_PRODUCT"
#: oneDNN's is chosen if it takes less than this share of torch's time: of two that are about equal, always the same.
MARGIN = 0.9


class Linear(nn.Linear):
    """``torch.nn.Linear``, forwards and backwards, up to rounding.

    Attributes:
        product: what it trains with on a CPU; None is `fastest_product`. See `set_product`.

    >>> layer, x = Linear(3, 2), torch.ones(4, 5, 3)
    >>> torch.allclose(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    True
    """

    product: str | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        if not torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type) or not onednn.has_linear(x):
            return super().forward(x)
        rows = x.numel() // self.in_features
        if (self.product or fastest_product(rows, self.in_features, self.out_features)) == "torch":
            return super().forward(x)
        y: Tensor = _Layer.apply(x.reshape(-1, self.in_features), self.weight, self.bias)
        return y.view(*x.shape[:-1], self.out_features)


def set_product(model: nn.Module, product: str) -> None:
    """Have every `Linear` of ``model`` train with ``product``, whichever is the faster one.

    Raises:
        ValueError: there is no such product.
    """
    if product not in PRODUCTS:
        raise ValueError(f"unknown matrix product {product!r}; choose {' or '.join(PRODUCTS)}")
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.product = product


def product_for(model: nn.Module, rows: int) -> str:
    """The `fastest_product` for the largest `Linear` of ``model``, where it sees ``rows`` rows at a time."""
    layers = [layer for layer in model.modules() if isinstance(layer, Linear)]
    if not layers:
        return "torch"
    largest = max(layers, key=lambda layer: layer.weight.numel())
    return fastest_product(rows, largest.in_features, largest.out_features)


def fastest_product(rows: int, inputs: int, outputs: int) -> str:
    """The product with which a layer trains faster on this CPU, measured once in a process.

    That takes milliseconds, or half a second for a large layer. The environment variable ``HEAR_MULTIVIEW_PRODUCT``
    fixes the product instead. Where torch has no oneDNN it is torch's.

    Args:
        rows: of the layer's input; the nearest power of two is timed, up to `ROWS`.
        inputs, outputs: sizes of the layer.

    Raises:
        ValueError: the variable is set to something else than a product.
    """
    fixed = os.environ.get(VARIABLE)
    if fixed and fixed not in PRODUCTS:
        raise ValueError(f"{VARIABLE} is {fixed!r}; set it to {' or '.join(PRODUCTS)}, or unset it")
    return fixed or _measured(min(ROWS, 2 ** round(math.log2(max(rows, 1)))), inputs, outputs)


@cache
def _measured(rows: int, inputs: int, outputs: int, repeats: int = 3) -> str:
    """The faster product for x [row, in] and a layer of that size, forwards and backwards."""
    x = torch.full((rows, inputs), 0.5, requires_grad=True)
    if not onednn.has_linear(x):
        return "torch"
    weight, bias = (torch.full(size, 0.5, requires_grad=True) for size in ((outputs, inputs), (outputs,)))
    layers = {"torch": nn.functional.linear, "onednn": _Layer.apply}
    least = dict.fromkeys(layers, math.inf)
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        dy = torch.full((rows, outputs), 0.5)
        for repeat in range(repeats + 1):
            for name, layer in layers.items():
                start = time.perf_counter()
                torch.autograd.grad(layer(x, weight, bias), (x, weight, bias), dy)
                if repeat:  # the first one also sets up the library
                    least[name] = min(least[name], time.perf_counter() - start)
    return "onednn" if least["onednn"] < MARGIN * least["torch"] else "torch"


class _Layer(torch.autograd.Function):
    """y = x · weightᵀ + bias for x [row, in], weight [out, in] and bias [out]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        # With the numbers of one input next to each other, oneDNN chooses the product that is faster for many rows.
        return onednn.linear(x, weight.t().contiguous().t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        dx = onednn.linear(dy, weight.t()) if ctx.needs_input_grad[0] else None
        dweight, dbias = torch.zeros_like(weight), weight.new_zeros(len(weight))
        for rows, inputs in zip(dy.split(ROWS), x.split(ROWS), strict=True):
            dweight += onednn.linear(rows.t(), inputs.t())
            dbias += rows.sum(0)
        return dx, dweight, dbias
