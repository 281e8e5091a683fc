"""Augmentations of log-spectral frames: what they do on average, by NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data.augmentations import KNOTS, SNR_RANGE, Draws, background, channel


def draws(seed: int) -> Draws:
    """The view's own source from ``seed``; none of these augmentations draws a sensor."""
    return Draws(generator(seed), generator(seed + 1000))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 99), strength=st.floats(0, 3))
def test_a_channel_is_a_smooth_offset_by_dimension(seed: int, strength: float) -> None:
    frames = torch.randn(5, 64, generator=generator(seed + 1))
    offset = (channel(frames, strength, draws(seed)) - frames).numpy()
    knots = strength * torch.randn(1, 1, KNOTS, generator=generator(seed))[0, 0].double().numpy()
    expected = np.interp(np.linspace(0, KNOTS - 1, 64), np.arange(KNOTS), knots)
    np.testing.assert_allclose(offset, np.tile(expected, (5, 1)), atol=1e-5)


@pytest.mark.parametrize("lowest", [-10.0, 0.0, 20.0])
def test_a_background_has_the_ratios_asked_for(lowest: float) -> None:
    """Over a steady spectrum, the mean power that is added, in dB below the mean power of the signal."""
    frames = torch.full((200, 64), 2.0)
    ratios = []
    for seed in range(200):
        added = background(frames, lowest, draws(seed)).double().exp() - frames.double().exp()
        assert (added >= -1e-5).all()
        ratios.append(-10 * np.log10(added.mean().item() / np.exp(2.0)))
    # The spectrum of the noise varies by 6 dB at 8 knots, so that a single level may be some 12 dB higher than drawn.
    assert lowest - 15 < min(ratios)
    assert max(ratios) < lowest + SNR_RANGE + 8
    assert max(ratios) - min(ratios) > 0.6 * SNR_RANGE


def test_a_background_that_is_far_below_changes_nothing() -> None:
    frames = torch.randn(20, 16, generator=generator(0))
    torch.testing.assert_close(background(frames, 200.0, draws(1)), frames)


def test_the_level_of_a_background_follows_the_signal() -> None:
    frames = torch.randn(20, 16, generator=generator(0))
    torch.testing.assert_close(background(frames + 3, 0.0, draws(1)), background(frames, 0.0, draws(1)) + 3)
