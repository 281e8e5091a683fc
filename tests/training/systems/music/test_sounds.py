"""The generated sounds: their spectra, what is drawn and what is not, and that a seed says it all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sonyc_tasks.files import TEMPORARY
from training.systems.music import sounds


def amplitudes(wave: np.ndarray, pitch: float, count: int) -> np.ndarray:
    """Of the first ``count`` harmonics, by projection on each: a Hann window keeps the neighbours out."""
    window = np.hanning(len(wave))
    turns = np.exp(-2j * np.pi * pitch * np.outer(np.arange(1, count + 1), np.arange(len(wave))) / sounds.SAMPLE_RATE)
    return 2 * np.abs(turns @ (wave * window)) / window.sum()


@pytest.mark.parametrize("frequency", [0, 7, 20])
@pytest.mark.parametrize(
    ("timbre", "series"),
    [
        ("sine", [1, 0, 0, 0, 0]),
        ("saw", [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        ("triangle", [1, 0, 1 / 9, 0, 1 / 25]),
        ("square", [1, 0, 1 / 3, 0, 1 / 5]),
    ],
)
def test_a_waveform_has_its_own_fourier_series(timbre: str, series: list[float], frequency: int) -> None:
    wave = sounds.waveform(sounds.TIMBRES.index(timbre), frequency)
    assert np.mean(wave**2) == pytest.approx(1)
    found = amplitudes(wave, sounds.FREQUENCIES[frequency], 5)
    np.testing.assert_allclose(found / found[0], series, atol=1e-3)


def test_nothing_sounds_between_the_harmonics() -> None:
    """A saw that is sampled and not summed would fold its upper harmonics down to there."""
    wave = sounds.waveform(sounds.TIMBRES.index("saw"), 20)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    hertz = np.fft.rfftfreq(len(wave), 1 / sounds.SAMPLE_RATE)
    distance = np.abs(hertz / sounds.FREQUENCIES[20] - np.round(hertz / sounds.FREQUENCIES[20]))
    assert spectrum[(distance > 0.05) | (hertz < 500)].max() < 1e-4 * spectrum.max()


def test_frequencies_are_whole_tones() -> None:
    assert len(sounds.FREQUENCIES) == 21
    assert sounds.FREQUENCIES[0] == 110
    assert sounds.FREQUENCIES[6] == pytest.approx(220)
    np.testing.assert_allclose(np.diff(np.log2(sounds.FREQUENCIES)), 1 / 6)


def test_level_and_phase_are_drawn_and_the_rest_is_not() -> None:
    drawn = [sounds.sound(np.random.default_rng(seed), 1, 6) for seed in range(40)]
    levels = np.array([20 * np.log10(np.sqrt(np.mean(wave**2)) / sounds.RMS) for wave in drawn])
    assert levels.max() < 0.1
    assert levels.min() > -sounds.LEVEL_RANGE - 0.1
    assert np.ptp(levels) > 0.7 * sounds.LEVEL_RANGE
    turn = np.exp(-2j * np.pi * sounds.FREQUENCIES[6] * np.arange(len(drawn[0])) / sounds.SAMPLE_RATE)
    assert abs(np.mean([np.exp(1j * np.angle(turn @ wave)) for wave in drawn])) < 0.4
    shapes = [amplitudes(wave, sounds.FREQUENCIES[6], 5) for wave in drawn]
    np.testing.assert_allclose([shape / shape[0] for shape in shapes], [shapes[0] / shapes[0][0]] * 40, atol=2e-3)


def test_generated_files(tmp_path: Path) -> None:
    clips = sounds.generate(tmp_path / "a", 2 * 84, seed=3)
    assert Counter((sound.clip.group, sound.clip.labels["frequency"]) for sound in clips) == dict.fromkeys(
        [(timbre, (frequency,)) for timbre in sounds.TIMBRES for frequency in sounds.FREQUENCY_CLASSES], 2
    )
    samples, rate = soundfile.read(clips[5].path)
    assert (rate, samples.shape) == (16_000, (16_000,))
    expected = sounds.sound(np.random.default_rng((3, 5)), 1, 1)
    np.testing.assert_allclose(samples, expected, atol=1 / 32768)
    assert not np.array_equal(samples, soundfile.read(clips[5 + 84].path)[0])


def test_more_begin_with_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    few, more = (sounds.generate(tmp_path / str(count), count, seed=1) for count in (3, 5))
    assert all(a.path.read_bytes() == b.path.read_bytes() for a, b in zip(few, more, strict=False))
    other = sounds.generate(tmp_path / "other", 1, seed=2)
    assert other[0].path.read_bytes() != few[0].path.read_bytes()
    kept = few[0].path.stat().st_mtime_ns
    assert sounds.generate(tmp_path / "3", 3, seed=1)[0].path.stat().st_mtime_ns == kept


def test_sounds_of_another_seed_are_not_taken_for_these(tmp_path: Path) -> None:
    sounds.generate(tmp_path / "a", 2, seed=1)
    with pytest.raises(ValueError, match=f"{tmp_path / 'a'} .*seed 2"):
        sounds.generate(tmp_path / "a", 2, seed=2)


def test_a_sound_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    clips = sounds.generate(tmp_path / "s", 3, seed=1)
    whole = clips[1].path.read_bytes()
    assert len(whole) == sounds.FILE_BYTES
    for content in (whole[:1000], b""):
        clips[1].path.write_bytes(content)
        sounds.generate(tmp_path / "s", 3, seed=1)
        assert clips[1].path.read_bytes() == whole


def test_a_folder_in_which_the_first_file_was_begun_is_not_something_else(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}0123456789ab.txt").write_text("4")
    assert len(sounds.generate(tmp_path, 2, 5)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.wav", "000001.wav", "seed.txt"]
