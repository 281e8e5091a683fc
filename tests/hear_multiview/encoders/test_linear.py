"""The linear layer against float64 numpy, forwards and backwards."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hear_multiview import onednn
from hear_multiview.encoders import linear
from hear_multiview.encoders.linear import Linear


@pytest.mark.parametrize("shape", [(1, 3), (7, 5), (4, 9, 5), (2, 40, 64), (3, 5, 16, 17)])
@pytest.mark.parametrize("out", [1, 8, 65])
@pytest.mark.parametrize("onednn", [True, False])
def test_value_and_gradients(shape: tuple[int, ...], out: int, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """y = x Wᵀ + b; dx = dy W; dW = Σ_row dyᵀ x; db = Σ_row dy. Also where torch has no such operation."""
    monkeypatch.setattr(linear, "ROWS", 16)  # so that a gradient comes in several chunks
    if not onednn:
        monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    rng = np.random.default_rng(out)
    x, dy = rng.normal(size=shape), rng.normal(size=(*shape[:-1], out))
    layer = Linear(shape[-1], out)
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    given = torch.from_numpy(x).float().requires_grad_()
    y = layer(given)
    np.testing.assert_allclose(y.detach(), x @ weight.T + bias, atol=1e-4)
    y.backward(torch.from_numpy(dy).float())
    assert given.grad is not None
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    np.testing.assert_allclose(given.grad, dy @ weight, atol=1e-4)
    rows, inputs = dy.reshape(-1, out), x.reshape(-1, shape[-1])
    np.testing.assert_allclose(layer.weight.grad, rows.T @ inputs, atol=1e-3)
    np.testing.assert_allclose(layer.bias.grad, rows.sum(0), atol=1e-4)


def test_gradients_that_do_not_lie_in_order() -> None:
    """Of a sum, whose gradient is one number everywhere, and of a turned result; the input wants none."""
    layer, x = Linear(5, 3), torch.randn(4, 6, 5)
    layer(x).transpose(1, 2).sum().backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, x.sum((0, 1)).expand(3, 5), atol=1e-5, rtol=1e-5)


def test_it_trains_with_onednn_and_embeds_with_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    if not onednn.has_linear(torch.ones(1)):
        pytest.skip("this torch has no oneDNN")
    layer, x, product = Linear(64, 64), torch.randn(10, 64), onednn.linear
    calls: list[int] = []

    def counted(*given: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return product(*given)

    monkeypatch.setattr(onednn, "linear", counted)
    layer(x).sum().backward()
    assert len(calls) == 2
    with torch.no_grad():
        assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    layer.use_onednn = False
    layer(x).sum().backward()
    assert len(calls) == 2


@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5)])
def test_no_rows(shape: tuple[int, ...]) -> None:
    assert Linear(5, 2)(torch.ones(shape)).shape == (*shape[:-1], 2)
