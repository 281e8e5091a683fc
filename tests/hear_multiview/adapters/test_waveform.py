"""Clips of benchmarks: what can be meant becomes one waveform, what cannot is refused by name."""

from __future__ import annotations

import tracemalloc
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from hear_multiview.adapters.waveform import MAX_CHANNELS, waveform

RATE = 44_100


def made(array: Any, rate: Any = RATE, to: int = RATE) -> np.ndarray:
    return waveform({"array": array, "sampling_rate": rate}, to, "clip 7")


def sound(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


# Layout


@settings(deadline=None)
@given(st.integers(1, MAX_CHANNELS), st.integers(1, 300), st.integers(0, 9))
def test_every_layout_is_averaged_over_channels_or_refused(channels: int, samples: int, seed: int) -> None:
    array = sound(channels, samples, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few samples of many channels can happen to cancel
        if channels <= samples:
            found = made(array)
            assert found.shape == (samples,)
            assert found.dtype == np.float32
            if channels < samples:
                with pytest.raises(ValueError, match=rf"clip 7 has shape \({samples}, {channels}\)"):
                    made(array.T)
        else:
            with pytest.raises(ValueError, match=rf"clip 7 has shape \({channels}, {samples}\)"):
                made(array)


@pytest.mark.parametrize("shape", [(MAX_CHANNELS + 1, 9000), (1, 2, 9000), (88_200, 2), ()])
def test_what_cannot_be_channels_of_samples_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="clip 7 has shape"):
        made(sound(*shape) if shape else np.float64(0.1))


def test_channels_are_averaged() -> None:
    array = sound(3, 500)
    np.testing.assert_allclose(made(array), array.sum(0) / 3, atol=1e-7)
    np.testing.assert_array_equal(made(list(array[0])), array[0].astype(np.float32))
    np.testing.assert_array_equal(made(torch.from_numpy(array)), made(array))


@pytest.mark.parametrize(("weights", "kept"), [((1, -1), 0), ((0.5, -0.52), 1), ((0.3, -0.6, 0.3), 1)])
def test_of_channels_that_cancel_the_loudest_is_kept(weights: tuple[float, ...], kept: int) -> None:
    one = sound(2000)
    with pytest.warns(UserWarning, match=rf"clip 7: .* channel {kept + 1} "):
        found = made(np.outer(weights, one))
    np.testing.assert_allclose(found, weights[kept] * one, atol=1e-7)


@pytest.mark.parametrize(
    "others", [np.zeros((1, 2000)), np.zeros((15, 2000)), sound(1, 2000, seed=1), sound(7, 2000, seed=1)]
)
def test_channels_that_do_not_cancel_are_averaged_without_a_word(others: np.ndarray) -> None:
    array = np.concatenate([sound(1, 2000), others])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(made(array), array.mean(0), atol=1e-6)


# Types and scale


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_integers_are_brought_to_a_full_scale_of_one(dtype: type) -> None:
    full = np.iinfo(dtype).min
    np.testing.assert_array_equal(made(np.array([full, full // 2, 0, full // -4], dtype)), [-1, -0.5, 0, 0.25])


@pytest.mark.parametrize(
    "array", [np.zeros(9, np.int64), np.zeros(9, np.uint8), np.zeros(9, bool), [0, 1, -1], ["a", "b"]]
)
def test_other_types_are_refused(array: Any) -> None:
    with pytest.raises(ValueError, match=f"clip 7 .* {np.asarray(array).dtype}"):
        made(array)


@pytest.mark.parametrize("value", [32_767.0, -3.0, 1e300])
def test_samples_far_beyond_full_scale_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"clip 7 .* full scale"):
        made(np.append(sound(99), value))
    assert made(np.append(sound(99), 1.3))[-1] == np.float32(1.3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"clip 7 .*NaN or infinite"):
        made(np.append(sound(99), value))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2)])
def test_a_clip_without_samples_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"clip 7 .*no samples"):
        made(np.zeros(shape))


# Rates


@pytest.mark.parametrize(
    "rate", [0, -44_100, 999, 1_000_001, 44_100.5, float("nan"), float("inf"), None, "44100", True]
)
def test_rates_of_no_sound_are_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"clip 7 .*sampling rate"):
        made(sound(9), rate)


@pytest.mark.parametrize("rate", [8_000, 16_000.0, np.int64(48_000), 44_056, 44_101, 99_991, 192_000])
def test_a_tone_stays_that_tone_at_any_rate(rate: float) -> None:
    """Against the closed form, away from the ends; and at no rate is the cost that of another size."""
    tone = 0.3 * np.sin(2 * np.pi * 1234 * np.arange(int(rate)) / rate)
    tracemalloc.start()
    found = made(tone, rate)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert abs(len(found) - RATE) <= 1
    middle = slice(RATE // 4, RATE // 2)
    expected = 0.3 * np.sin(2 * np.pi * 1234 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(found[middle], expected[middle], atol=1e-4)
    assert peak < 16e6


def test_resampling_is_as_another_library_s_in_the_band_of_both() -> None:
    low = resample_poly(sound(4_000), 4, 1)  # up to 2 kHz, at 16 kHz
    ours, theirs = made(low, 16_000, 8_000), resample_poly(low, 1, 2)
    np.testing.assert_allclose(ours[1000:-1000], theirs[1000:-1000], atol=2e-3)


# Decoders


def test_a_decoder_gives_its_channels_and_rate() -> None:
    """As torchcodec's; those of datasets can also be asked for an array, in which channels are averaged."""
    array = sound(16_000)
    decoded = SimpleNamespace(data=torch.from_numpy(np.stack([array, -array])), sample_rate=16_000)
    with pytest.warns(UserWarning, match=r"clip 7: .*channels cancel"):
        found = waveform(SimpleNamespace(get_all_samples=lambda: decoded), 16_000, "clip 7")
    np.testing.assert_array_equal(found, array.astype(np.float32))


def test_what_a_decoder_cannot_decode_is_named() -> None:
    def get_all_samples() -> None:
        raise RuntimeError("No audio frames were decoded.\nat line 1220")

    with pytest.raises(ValueError, match=r"clip 7 .*No audio frames were decoded"):
        waveform(SimpleNamespace(get_all_samples=get_all_samples), RATE, "clip 7")
