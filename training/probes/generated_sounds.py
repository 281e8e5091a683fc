"""The generated sounds of three probing tasks: scenes to tag, events with onsets, and notes with a pitch.

Scenes and events are made of the sources of `sonyc_tasks.synthesis`, in takes that are drawn from seeds of this module,
so that no training data holds them. There is no sensor: every clip has a background of its own, at a level of its own.
Notes are harmonic sounds with spectra drawn at random, in noise, because those with regular spectra are too easy: the
spectrum alone tells them.

Clip i is about class i mod n of n classes, so that n clips in a row, a *round*, have each class at least once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from sonyc_tasks.dataset.audio import write_pcm16
from sonyc_tasks.files import sync_tree, write_atomic
from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Array, Wave
from sonyc_tasks.synthesis.sources import SOURCES, render
from sonyc_tasks.tasks.task_folder import Event
from training.engine.run_folder import check_or_write_manifest

SAMPLE_RATE = 16_000
SEED = 5201  # that of no other part of the project

#: Classes of `scene`: every source that can be named.
TAGS = tuple(SOURCES)
#: Classes of `events`: sources that begin abruptly and can be short.
EVENT_CLASSES = (
    "2-1_rock-drill",
    "2-2_jackhammer",
    "3-1_non-machinery-impact",
    "5-1_car-horn",
    "5-3_siren",
    "5-4_reverse-beeper",
    "7-2_person-or-small-group-shouting",
    "8-1_dog-barking-whining",
)
#: Classes of `note`: MIDI numbers, from C3 to B4. They follow each other, since heareval's chroma is index modulo 12.
PITCHES = tuple(str(number) for number in range(48, 72))

_BACKGROUND = (-50.0, -30.0)  # dB of full scale
_SCENE_SNR, _EVENT_SNR, _NOTE_SNR = (0.0, 18.0), (3.0, 18.0), (-6.0, 9.0)  # dB over the background
_EVENT_SECONDS = (0.25, 0.8)
_DETUNED = 0.3  # semitones at most
_ONSET = 0.1  # of the loudest 10 ms: an event begins there

#: Names of classes, or events.
Labels = list[str] | list[Event]


@dataclass(frozen=True)
class Kind:
    """One kind of sounds.

    Attributes:
        make: ``(rng, class) -> wave, labels``: a clip that has class number ``class``, [sample].
        classes: all of them.
        seconds: length of a clip.
    """

    make: Callable[[Generator, int], tuple[Wave, Labels]]
    classes: tuple[str, ...]
    seconds: float


def scene(rng: Generator, which: int) -> tuple[Wave, Labels]:
    """One to three sources, one of them ``TAGS[which]``, over a background: 3 s, and their tags."""
    samples = dsp.sample_count(KINDS["tags"].seconds, SAMPLE_RATE)
    clip, level = background(rng, samples)
    others = [tag for tag in TAGS if tag != TAGS[which]]
    tags = [TAGS[which], *rng.choice(others, rng.integers(3), replace=False).tolist()]
    for tag in tags:
        seconds = rng.uniform(1.0, KINDS["tags"].seconds)
        wave = _leveled(render(tag, rng, seconds, SAMPLE_RATE), level + rng.uniform(*_SCENE_SNR))
        start = rng.integers(samples - len(wave) + 1)
        clip[start : start + len(wave)] += wave
    return _limited(clip), sorted(tags)


def events(rng: Generator, which: int) -> tuple[Wave, Labels]:
    """Two to five short events, the first drawn ``EVENT_CLASSES[which]``, over a background: 4 s, and their times."""
    samples = dsp.sample_count(KINDS["events"].seconds, SAMPLE_RATE)
    clip, level = background(rng, samples)
    classes = [EVENT_CLASSES[which], *rng.choice(EVENT_CLASSES, rng.integers(1, 5)).tolist()]
    found: list[Event] = []
    for label in classes:
        wave = _from_its_onset(render(label, rng, 1.5, SAMPLE_RATE))
        wave = wave[: dsp.sample_count(rng.uniform(*_EVENT_SECONDS), SAMPLE_RATE)]
        wave = _leveled(_faded(wave), level + rng.uniform(*_EVENT_SNR))
        start = int(rng.integers(samples - len(wave) + 1))
        stop = start + len(wave)
        # Two events of one class that overlap would be one to the ear, and to the score.
        if any(e["label"] == label and e["start"] < _ms(stop) and _ms(start) < e["end"] for e in found):
            continue
        clip[start:stop] += wave
        found.append({"label": label, "start": _ms(start), "end": _ms(stop)})
    return _limited(clip), sorted(found, key=lambda event: (event["start"], event["label"]))


def note(rng: Generator, which: int) -> tuple[Wave, Labels]:
    """A note of MIDI number ``PITCHES[which]`` in noise: 1 s, and the number.

    Detuning, vibrato, envelope, and the amplitude of each harmonic are drawn; the fundamental may be weaker than any
    other. So no single peak of the spectrum tells the pitch, only the distance between them.
    """
    samples = dsp.sample_count(KINDS["pitch"].seconds, SAMPLE_RATE)
    clip, level = background(rng, samples)
    number = float(PITCHES[which]) + rng.uniform(-_DETUNED, _DETUNED)
    pitch = 440 * 2 ** ((number - 69) / 12)
    k = dsp.harmonic_numbers(SAMPLE_RATE, pitch)
    decibels = -rng.uniform(0, 9) * np.log2(k) + rng.normal(0, 8, len(k))
    period = dsp.harmonics(rng, 10 ** (decibels / 20))
    times = dsp.frame_times(samples, SAMPLE_RATE)
    vibrato = 2 ** (rng.uniform(0, 0.25) / 12 * np.sin(2 * np.pi * (rng.uniform(4, 7) * times + rng.uniform())))
    wave = dsp.oscillate(rng, period, pitch * vibrato, samples, SAMPLE_RATE)
    attack, decay = rng.uniform(0.005, 0.1), dsp.log_uniform(rng, 0.2, 5)
    onset = rng.uniform(0, 0.3)
    since = np.arange(samples) / SAMPLE_RATE - onset
    wave = wave * np.clip(since / attack, 0, 1) * np.exp(-np.maximum(since, 0) / decay)
    return _limited(clip + _leveled(wave, level + rng.uniform(*_NOTE_SNR))), [PITCHES[which]]


def background(rng: Generator, samples: int) -> tuple[Wave, float]:
    """Noise [sample] with a spectrum that falls by 0 to 9 dB an octave, and its level in dB of full scale."""
    bins = np.arange(1, samples // 2 + 2, dtype=np.float64)
    slope = rng.uniform(0, 9)
    level = rng.uniform(*_BACKGROUND)
    octaves = np.log2(np.maximum(bins / samples * SAMPLE_RATE, 100) / 100)
    return _leveled(dsp.coloured(rng, 10 ** (-slope * octaves / 20), samples), level), level


def generate(folder: Path, kind: str, rounds: int) -> dict[str, Labels]:
    """``rounds`` clips of every class of a ``kind`` as 16-bit WAV files in ``folder``, unless they are there.

    Clip i depends on kind and i only, so that more rounds begin with the same clips.

    Returns:
        name → labels, in the order of the clips.

    Raises:
        ValueError: ``folder`` holds other sounds.
    """
    of = KINDS[kind]
    check_or_write_manifest(folder / "made-of.json", {"kind": kind, "rounds": rounds, "seed": SEED})
    done = folder / "labels.json"  # written last
    if done.exists():
        kept: dict[str, Labels] = json.loads(done.read_text(encoding="utf-8"))
        return kept
    labels = {}
    for index in tqdm(range(rounds * len(of.classes)), desc=f"sounds ({kind})", unit="sound", leave=False):
        rng = np.random.default_rng((SEED, list(KINDS).index(kind), index))
        wave, own = of.make(rng, index % len(of.classes))
        name = f"{kind}_{index:05d}.wav"
        write_pcm16(folder / name, wave, SAMPLE_RATE)
        labels[name] = own
    sync_tree(folder)
    write_atomic(done, json.dumps(labels))
    return labels


def _leveled(wave: Array, decibels: float) -> Array:
    """``wave`` at an rms of ``decibels`` of full scale."""
    return dsp.normalize_rms(wave) * np.float32(10 ** (decibels / 20))


def _limited(wave: Array) -> Wave:
    """Quieter where it would be clipped, float32."""
    return (wave / max(1.0, float(np.abs(wave).max()) / 0.99)).astype(np.float32)


def _from_its_onset(wave: Array) -> Array:
    """``wave`` from the first 10 ms that are not much quieter than the loudest; sources may begin with silence."""
    hop = SAMPLE_RATE // 100
    blocks = np.abs(wave[: len(wave) // hop * hop]).reshape(-1, hop).max(axis=1)
    # Half a second has to be left.
    first = min(int(np.argmax(blocks > _ONSET * blocks.max())), len(blocks) // 2)
    return wave[first * hop :]


def _faded(wave: Array) -> Array:
    """With 2 ms of fade-in and 20 ms of fade-out."""
    into, out = SAMPLE_RATE // 500, SAMPLE_RATE // 50
    shape = np.ones(len(wave), np.float32)
    shape[:into], shape[-out:] = np.linspace(0, 1, into), np.linspace(1, 0, out)
    return wave * shape


def _ms(sample: int) -> float:
    return 1000 * sample / SAMPLE_RATE


#: By the name of the task. The position is part of each clip's seed, so append, never reorder.
KINDS: Mapping[str, Kind] = {
    "tags": Kind(scene, TAGS, 3.0),
    "events": Kind(events, EVENT_CLASSES, 4.0),
    "pitch": Kind(note, PITCHES, 1.0),
}
