"""A linear layer that trains with oneDNN's matrix products on a CPU.

torch takes its products from MKL, which on processors of other makers than Intel runs at less than half of oneDNN's
speed. Embedding keeps torch's own product, bit by bit, as the front end takes nearly all of the time there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hear_multiview import onednn

#: Rows at a time for the gradient of a weight: so few stay in the cache when they are transposed.
ROWS = 2048


class Linear(nn.Linear):
    """``torch.nn.Linear``, forwards and backwards, up to rounding.

    Attributes:
        use_onednn: whether it trains with oneDNN's products where there are any; set it to False to compare.

    >>> layer, x = Linear(3, 2), torch.ones(4, 5, 3)
    >>> torch.allclose(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    True
    """

    use_onednn = True

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        if not (self.use_onednn and torch.is_grad_enabled() and onednn.has_linear(x)):
            return super().forward(x)
        y: Tensor = _Layer.apply(x.reshape(-1, self.in_features), self.weight, self.bias)
        return y.view(*x.shape[:-1], self.out_features)


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
