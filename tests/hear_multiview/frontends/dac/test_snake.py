"""The activation against its formula in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hear_multiview.frontends.dac.snake import Snake


@pytest.mark.parametrize("channels", [1, 3, 64])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0, 40.0])
def test_it_is_its_formula(alpha: float, channels: int) -> None:
    x = torch.linspace(-9, 9, 2 * channels * 500).reshape(2, channels, 1, 500)
    x = x.contiguous(memory_format=torch.channels_last)
    exact = x.double().numpy()
    expected = exact + np.sin(alpha * exact) ** 2 / alpha
    # αx is rounded before its sine is taken, in any way to compute it: to 6e-8 of up to 360.
    bound = 1e-6 / alpha + 1e-6
    snake = Snake(torch.full((1, channels, 1), alpha))
    np.testing.assert_allclose(snake(x).numpy(), expected, atol=bound + 4e-7 * 9)
    before = x.clone()
    assert snake(x, overwrite=True) is x
    torch.testing.assert_close(x, snake(before))


def test_each_channel_has_its_own_alpha() -> None:
    alpha = torch.tensor([0.5, 1.0, 4.0])[None, :, None]
    x = torch.randn(2, 3, 1, 40, generator=torch.Generator().manual_seed(0))
    expected = x + torch.sin(alpha[..., None] * x) ** 2 / alpha[..., None]
    torch.testing.assert_close(Snake(alpha)(x.contiguous(memory_format=torch.channels_last)), expected)


def test_other_layouts_are_computed_too() -> None:
    """As they come where torch has no oneDNN."""
    x = torch.randn(2, 3, 1, 40, generator=torch.Generator().manual_seed(0))
    snake = Snake(torch.tensor([0.5, 1.0, 4.0])[None, :, None])
    expected = snake(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(snake(x), expected)
    torch.testing.assert_close(snake(x, overwrite=True), expected)


def test_bf16_is_computed_in_single_precision_and_rounded_once() -> None:
    x = torch.linspace(-4, 4, 3_000).reshape(1, 3, 1, 1_000).bfloat16().contiguous(memory_format=torch.channels_last)
    snake = Snake(torch.tensor([0.5, 1.0, 4.0])[None, :, None])
    exact, alpha = x.double(), snake.alpha.double()
    exact = exact + torch.sin(alpha * exact) ** 2 / alpha
    # bf16 keeps 8 bits: rounding once is wrong by 2^-8 of the value at most, and what was rounded by 1e-5.
    assert ((snake(x).double() - exact).abs() <= exact.abs() * 2**-8 + 1e-5).all()
    assert torch.equal(snake(x.clone(), overwrite=True), snake(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_no_number_stays_none(dtype: torch.dtype) -> None:
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0], dtype=dtype)[None, None, None]
    y = Snake(torch.ones(1, 1, 1))(x)
    assert y.isnan().tolist() == [[[[True, True, True, False]]]]
