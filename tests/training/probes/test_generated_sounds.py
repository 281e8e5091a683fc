"""The generated sounds: what is in them, that it is at the place it is said to be, and that a seed says it all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sonyc_tasks.synthesis import signals as dsp
from training.probes import generated_sounds as sounds
from training.probes.generated_sounds import KINDS, SAMPLE_RATE


def made(kind: str, index: int) -> tuple[np.ndarray, Any]:
    return KINDS[kind].make(np.random.default_rng((9, index)), index % len(KINDS[kind].classes))


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_has_its_class_and_its_length_and_is_never_clipped(kind: str) -> None:
    for index in range(len(KINDS[kind].classes)):
        wave, labels = made(kind, index)
        names = {label["label"] if isinstance(label, dict) else label for label in labels}
        assert KINDS[kind].classes[index] in names <= set(KINDS[kind].classes)
        assert wave.dtype == np.float32
        assert len(wave) == KINDS[kind].seconds * SAMPLE_RATE
        assert 0.001 < np.abs(wave).max() < 1


def test_scenes_have_one_to_three_tags_each_once() -> None:
    counts = Counter(len(made("tags", index)[1]) for index in range(60))
    assert set(counts) == {1, 2, 3}
    assert all(len(set(labels)) == len(labels) for labels in (made("tags", index)[1] for index in range(20)))


def test_events_are_louder_than_what_is_before_them_and_those_of_a_class_do_not_overlap() -> None:
    rises = []
    for index in range(40):
        wave, events = made("events", index)
        assert 1 <= len(events) <= 5
        for event in events:
            assert 0 <= event["start"] < event["end"] <= 1000 * KINDS["events"].seconds
            others = [other for other in events if other is not event]
            assert not any(
                other["label"] == event["label"] and other["start"] < event["end"] and event["start"] < other["end"]
                for other in others
            )
            start = round(event["start"] * SAMPLE_RATE / 1000)
            alone = not any(other["start"] - 200 < event["start"] < other["end"] + 100 for other in others)
            if alone and start > 1600:
                before, after = wave[start - 1600 : start], wave[start : start + 1600]
                rises.append(10 * np.log10(np.mean(after**2) / np.mean(before**2)))
    assert len(rises) > 20
    # An event is at least 3 dB over the background on average, 4.8 dB with it.
    assert np.median(rises) > 5
    assert np.mean(np.array(rises) > 1) > 0.85


def test_an_event_begins_where_its_source_is_heard() -> None:
    silent = np.concatenate([np.zeros(4000), np.ones(8000)])
    assert len(sounds._from_its_onset(silent)) == 8000


def peak_of_harmonics(wave: np.ndarray, pitches: np.ndarray) -> float:
    """The pitch in Hz whose harmonics have the most energy over that halfway between them, in decibels."""
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 4 * len(wave))) ** 2
    hz = np.arange(len(power)) * SAMPLE_RATE / (4 * len(wave))

    def level(at: np.ndarray) -> float:
        return float(np.mean(10 * np.log10(np.interp(at, hz, power) + 1e-12)))

    scores = [level(p * np.arange(1, 13)) - level(p * (np.arange(1, 13) + 0.5)) for p in pitches]
    return float(pitches[int(np.argmax(scores))])


def test_a_note_has_the_pitch_of_its_midi_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "_NOTE_SNR", (40.0, 40.0))
    monkeypatch.setattr(sounds, "_DETUNED", 0.0)
    for index in (0, 9, 21):  # C3, A3, A4
        wave, (label,) = made("pitch", index)
        nominal = 440 * 2 ** ((int(label) - 69) / 12)
        around = nominal * 2 ** (np.arange(-60, 61) / 120)  # within half an octave, in tenths of a semitone
        assert abs(12 * np.log2(peak_of_harmonics(wave, around) / nominal)) < 0.35  # vibrato goes up to a quarter


def test_pitches_follow_each_other_by_a_semitone() -> None:
    """heareval's chroma is the index modulo 12."""
    numbers = np.array([int(pitch) for pitch in sounds.PITCHES])
    assert (np.diff(numbers) == 1).all()
    assert numbers[0] % 12 == 0


def test_spectra_are_drawn() -> None:
    """The strongest harmonic is not always the first."""
    strongest = set()
    for index in range(0, 240, 24):
        wave, _ = made("pitch", index)
        power = np.abs(np.fft.rfft(wave)) ** 2
        base = 440 * 2 ** ((48 - 69) / 12)
        levels = [power[round(k * base * 0.97) : round(k * base * 1.03)].max() for k in range(1, 8)]
        strongest.add(int(np.argmax(levels)))
    assert len(strongest) > 1


def test_a_background_has_the_level_that_is_said_of_it() -> None:
    noise, level = sounds.background(np.random.default_rng(3), 32_000)
    assert 10 * np.log10(np.mean(noise.astype(float) ** 2)) == pytest.approx(level, abs=0.01)


def test_more_rounds_begin_with_the_same_clips(tmp_path: Path) -> None:
    few = sounds.generate(tmp_path / "few", "pitch", 1)
    more = sounds.generate(tmp_path / "more", "pitch", 2)
    assert list(more)[: len(few)] == list(few)
    assert len(more) == 2 * len(few) == 48
    name = list(few)[7]
    assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()
    again, rate = soundfile.read(tmp_path / "few" / name)
    assert (len(again), rate) == (SAMPLE_RATE, SAMPLE_RATE)


def test_finished_sounds_stay_and_others_are_refused(tmp_path: Path) -> None:
    labels = sounds.generate(tmp_path, "pitch", 1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sounds.generate(tmp_path, "pitch", 1) == labels
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match="rounds"):
        sounds.generate(tmp_path, "pitch", 2)


def test_levels_are_those_asked_for() -> None:
    wave = sounds._leveled(dsp.white(np.random.default_rng(0), 16_000), -20.0)
    assert np.sqrt(np.mean(wave**2)) == pytest.approx(0.1, rel=1e-4)
