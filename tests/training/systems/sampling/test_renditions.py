"""Pitch shifting: the frequency asked for, the length and the time of the original."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.records import ORIGINAL
from training.data.renditions import maker
from training.systems.sampling.recipes import SHIFTS
from training.systems.sampling.renditions import semitones_of

RATE = 16_000


def peak(audio: np.ndarray) -> float:
    """The strongest frequency in Hz, by a parabola through the logarithm of the spectrum's peak."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    k = int(spectrum.argmax())
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    return float((k + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / len(audio))


@pytest.mark.parametrize("semitones", [*SHIFTS, -3.863, 0.5, 12])
def test_a_tone_has_the_pitch_asked_for(semitones: float) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
    shifted = maker(f"pitch({semitones})")(tone, RATE)
    cents = 1200 * np.log2(peak(shifted[2000:-2000]) / 440)
    assert cents == pytest.approx(100 * semitones, abs=1)


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 20_000), semitones=st.floats(-12, 12))
def test_any_length_is_kept(samples: int, semitones: float) -> None:
    noise = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    shifted = maker(f"pitch({semitones})")(noise, RATE)
    assert shifted.shape == noise.shape
    assert shifted.dtype == np.float32
    assert np.isfinite(shifted).all()


@pytest.mark.parametrize("semitones", SHIFTS)
def test_onsets_stay_where_they_are(semitones: int) -> None:
    """A decaying note of five harmonics after half a second: where its level reaches a tenth of the largest."""
    time = np.arange(RATE) / RATE
    note = sum(np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, 6)) * np.exp(-6 * time)
    audio = (0.2 * np.concatenate([np.zeros(RATE // 2), note])).astype(np.float32)

    def onset(x: np.ndarray) -> float:
        level = np.convolve(x**2, np.ones(32) / 32, "same")
        return float((level > 0.1 * level.max()).argmax() / RATE)

    assert onset(maker(f"pitch({semitones})")(audio, RATE)) == pytest.approx(onset(audio), abs=0.01)


def test_silence_stays_silence() -> None:
    assert not maker("pitch(2)")(np.zeros(4000, np.float32), RATE).any()


@given(st.floats(-24, 24, allow_nan=False))
def test_a_name_says_its_shift(semitones: float) -> None:
    assert semitones_of(f"pitch({semitones})") == semitones
    assert semitones_of(ORIGINAL) == 0


@pytest.mark.parametrize("name", ["speed(2)", "pitch", "pitch(1, 2)"])
def test_other_renditions_have_no_shift(name: str) -> None:
    with pytest.raises(ValueError, match=name.split("(")[0]):
        semitones_of(name)


@pytest.mark.parametrize("semitones", [-25, 24.5])
def test_shifts_are_limited(semitones: float) -> None:
    with pytest.raises(ValueError, match=f"{semitones}"):
        maker(f"pitch({semitones})")(np.zeros(100, np.float32), RATE)
