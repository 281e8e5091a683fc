"""Every sound that the generator makes, and the blocks it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from sonyc_tasks.dataset.taxonomy import COARSE, FINE, coarse_of
from sonyc_tasks.synthesis import signals
from sonyc_tasks.synthesis.sources import BY_CLASS, SOURCES, render, sound_of

RATE = 48_000


def test_every_tag_has_a_sound_of_its_class() -> None:
    assert set(SOURCES) == {tag for tag in FINE if "-X_" not in tag}
    assert tuple(BY_CLASS) == COARSE
    rng = np.random.default_rng(0)
    for tag in FINE:
        drawn = {sound_of(tag, rng) for _ in range(100)}
        assert drawn == (set(BY_CLASS[coarse_of(tag)]) if "-X_" in tag else {tag})


@pytest.mark.parametrize("tag", FINE)
def test_sound_is_finite_audible_of_the_right_length_and_its_own_at_each_seed(tag: str) -> None:
    for seconds in (0.06, 0.5, 1.5037):
        first, again, other = (render(tag, np.random.default_rng(seed), seconds, RATE) for seed in (1, 1, 2))
        assert first.dtype == np.float32
        assert first.shape == other.shape == (round(seconds * RATE),)
        assert np.isfinite(first).all()
        assert np.isfinite(other).all()
        np.testing.assert_array_equal(first, again)
        if seconds > 1:
            assert first.std() > 1e-4
            assert abs(np.corrcoef(first, other)[0, 1]) < 0.5


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_sounds_work_at_other_rates(rate: int) -> None:
    for tag in SOURCES:
        wave = render(tag, np.random.default_rng(3), 0.7, rate)
        assert len(wave) == round(0.7 * rate)
        assert np.isfinite(wave).all()


def test_classes_are_told_apart_by_simple_features() -> None:
    """Nearest neighbour among other draws, by level and movement of 24 bands: well above the one in eight of chance."""
    features, label = [], []
    for number, tag in enumerate(SOURCES):
        for seed in range(5):
            features.append(_bands(render(tag, np.random.default_rng([seed, number]), 1.5, RATE)))
            label.append(coarse_of(tag))
    table, classes = np.stack(features), np.array(label)
    distance = np.linalg.norm(table[:, None] - table[None], axis=2) + np.diag(np.full(len(table), np.inf))
    guess = classes[np.argmin(distance, axis=1)]
    recall = [np.mean(guess[classes == coarse] == coarse) for coarse in COARSE]
    assert np.mean(recall) > 0.5
    assert min(recall) > 0.125


def _bands(wave: np.ndarray) -> np.ndarray:
    """Mean, spread in time and change from frame to frame of the log level in 24 bands, over a floor of -50 dB."""
    frames = wave[: len(wave) // 960 * 960].reshape(-1, 960) / wave.std()
    power = np.abs(np.fft.rfft(frames * np.hanning(960), axis=1)) ** 2
    edges = np.unique(np.geomspace(1, 480, 25).astype(int))
    level = np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-5 * power.sum(1).mean())
    level -= level.mean()
    return np.concatenate((level.mean(0), level.std(0), np.abs(np.diff(level, axis=0)).mean(0)))


def test_filter_of_gain_one_changes_nothing() -> None:
    wave = signals.white(np.random.default_rng(0), 5000)
    np.testing.assert_allclose(signals.filter_stft(wave, np.ones(signals.HOP + 1)), wave, atol=1e-5)


def test_filter_that_moves_follows_its_clock() -> None:
    wave = signals.white(np.random.default_rng(0), 20 * signals.HOP)
    gate = (np.arange(signals.frame_count(len(wave))) >= 10).astype(float)[:, None] * np.ones(signals.HOP + 1)
    out = signals.filter_stft(wave, gate)
    assert not out[: 9 * signals.HOP].any()
    np.testing.assert_allclose(out[10 * signals.HOP :], wave[10 * signals.HOP :], atol=1e-5)


def test_oscillator_has_the_pitch_of_its_curve() -> None:
    rng = np.random.default_rng(0)
    wave = signals.oscillate(
        rng, signals.harmonics(rng, np.ones(1)), np.full(signals.frame_count(RATE), 440.0), RATE, RATE
    )
    assert np.argmax(np.abs(np.fft.rfft(wave))) == 440
    assert np.std(wave) == pytest.approx(1, rel=0.01)


def test_noise_has_the_power_it_is_given() -> None:
    rms = np.zeros(5001)
    rms[100:200] = 0.1
    wave = signals.coloured(np.random.default_rng(0), rms, 10_000)
    assert wave.std() == pytest.approx(1, rel=0.15)
    power = np.abs(np.fft.rfft(wave)) ** 2
    assert power[100:200].sum() / power.sum() > 0.999


def test_struck_body_rings_at_its_mode_and_falls_by_60_db() -> None:
    wave = signals.damped_modes(RATE, 1.0, np.array([1000.0]), np.array([0.5]), np.ones(1), np.zeros(1))
    time = np.arange(RATE) / RATE
    np.testing.assert_allclose(wave, 1000.0 ** (-time / 0.5) * np.sin(2 * np.pi * 1000 * time), atol=1e-4)


def test_car_that_passes_is_loudest_when_its_pitch_drops() -> None:
    gain, pitch = signals.pass_by(np.random.default_rng(1), 10 * RATE, RATE)
    assert 0 < gain.min() < gain.max() <= 1
    assert (np.diff(pitch) <= 1e-12).all()
    assert 0.9 < pitch.min() <= pitch.max() < 1.1
