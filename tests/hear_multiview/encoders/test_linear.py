"""The linear layer against float64 numpy, forwards and backwards."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hear_multiview import onednn
from hear_multiview.encoders import linear
from hear_multiview.encoders.linear import Linear, set_product


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
    set_product(layer, "onednn")
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
    set_product(layer, "onednn")
    calls: list[int] = []

    def counted(*given: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return product(*given)

    monkeypatch.setattr(onednn, "linear", counted)
    layer(x).sum().backward()
    assert len(calls) == 2
    with torch.no_grad():
        assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
    set_product(layer, "torch")
    layer(x).sum().backward()
    assert len(calls) == 2


@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5)])
def test_no_rows(shape: tuple[int, ...]) -> None:
    assert Linear(5, 2)(torch.ones(shape)).shape == (*shape[:-1], 2)


def test_autocast_is_honoured_forwards_and_backwards() -> None:
    """As torch's own layer under autocast, to the bit."""
    x, layer, plain = torch.randn(40, 16), Linear(16, 8), nn.Linear(16, 8)
    plain.load_state_dict(layer.state_dict())
    set_product(layer, "onednn")
    found = []
    for each in (layer, plain):
        with torch.autocast("cpu", torch.bfloat16):
            y = each(x)
        y.float().square().sum().backward()
        found.append((y, each.weight.grad, each.bias.grad))
    assert found[0][0].dtype == torch.bfloat16
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("faster", linear.PRODUCTS)
def test_the_faster_product_is_taken(faster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not onednn.has_linear(torch.ones(1)):
        pytest.skip("this torch has no oneDNN")
    waits = {"torch": (nn.functional, "linear"), "onednn": (onednn, "linear")}
    (slower,) = set(linear.PRODUCTS) - {faster}
    owner, name = waits[slower]
    product = getattr(owner, name)
    monkeypatch.delenv(linear.VARIABLE, raising=False)

    def slowly(*given: torch.Tensor) -> torch.Tensor:
        time.sleep(0.1)
        return product(*given)

    monkeypatch.setattr(owner, name, slowly)
    linear._measured.cache_clear()
    try:
        assert linear.fastest_product(20, 8, 4) == faster
        assert linear.product_for(nn.Sequential(Linear(8, 4), nn.Linear(900, 900)), 20) == faster
    finally:
        linear._measured.cache_clear()


def test_a_product_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    for product in linear.PRODUCTS:
        monkeypatch.setenv(linear.VARIABLE, product)
        assert linear.fastest_product(20, 8, 4) == product
    monkeypatch.setenv(linear.VARIABLE, "mkl")
    with pytest.raises(ValueError, match=rf"{linear.VARIABLE}.*'mkl'"):
        linear.fastest_product(20, 8, 4)
    with pytest.raises(ValueError, match="'mkl'"):
        set_product(Linear(2, 2), "mkl")
