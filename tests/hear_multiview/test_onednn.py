"""torch's private operations of oneDNN against its public ones, and nowhere but in their own file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hear_multiview import onednn

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_product(with_bias: bool) -> None:
    x, weight, bias = torch.randn(7, 5), torch.randn(3, 5), torch.randn(3) if with_bias else None
    if not onednn.has_linear(x):
        pytest.skip("this torch has no oneDNN")
    torch.testing.assert_close(onednn.linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))


@pytest.mark.parametrize(("padding", "stride", "dilation"), [(3, 1, 1), (9, 1, 3), (1, 2, 1), (0, 1, 1)])
@pytest.mark.parametrize("pack", [True, False])
def test_a_convolution(padding: int, stride: int, dilation: int, pack: bool) -> None:
    x = torch.randn(2, 16, 1, 50).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(16, 16, 1, 7), torch.randn(16)
    shape = onednn.geometry(padding, stride, dilation)
    if pack and not onednn.has_convolution(x):
        pytest.skip("this torch has no oneDNN")
    expected = torch.nn.functional.conv2d(x, weight, bias, (1, stride), (0, padding), (1, dilation))
    given = onednn.packed(weight, shape, x) if pack else weight
    found = onednn.convolution(x, given, bias, shape)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    residual = torch.randn_like(expected).contiguous(memory_format=torch.channels_last)
    before = residual.clone()
    assert onednn.convolution(x, given, bias, shape, residual) is residual
    torch.testing.assert_close(residual, before + expected, atol=1e-4, rtol=1e-4)


def test_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    x = torch.randn(1, 4, 1, 9)
    assert not onednn.has_linear(x)
    assert not onednn.has_convolution(x)
    assert onednn.flop_counters() == {}


def test_what_they_are_not_for() -> None:
    assert not onednn.has_linear(torch.ones(1, dtype=torch.float64))
    assert not onednn.has_linear(torch.ones(0))
    assert not onednn.has_linear(torch.ones(1, device="meta"))
    assert not onednn.has_convolution(torch.ones(1, device="meta"))


def test_nothing_else_calls_them() -> None:
    modules = [path for package in ("hear_multiview", "training") for path in (ROOT / package).rglob("*.py")]
    assert [path.name for path in modules if "torch.ops" in path.read_text(encoding="utf-8")] == ["onednn.py"]


def test_the_versions_tried_are_those_of_the_package() -> None:
    assert f"{', '.join(onednn.TRIED[:-1])} and {onednn.TRIED[-1]} are tried" in (ROOT / "setup.cfg").read_text()
