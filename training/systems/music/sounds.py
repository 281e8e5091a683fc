"""The generated sounds: four waveforms at 21 frequencies, and nothing else that means anything.

A sound lasts one second at 16 kHz. Its factors are its waveform (timbre) and its frequency: whole tones from
110 Hz (A2) to 1109 Hz (C♯6). Waveforms are sums of their harmonics below half the sample rate, so that no frequency is
heard that is not theirs, and have the same rms. Phase and level are drawn, the level within 3 dB; noise lies 60 dB
below. The paper (Wilkins et al. 2024) names the waveforms and the number of frequencies; range, phase, level and noise
are choices of ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sonyc_tasks.dataset.audio import write_pcm16
from sonyc_tasks.files import replacing, write_atomic
from training.data.records import Clip

SAMPLE_RATE, SECONDS = 16_000, 1.0
BYTES = 44 + 2 * round(SECONDS * SAMPLE_RATE)  # of a sound's file: the header, and 16-bit samples
#: Amplitude of harmonic k = 1, 2, … of each waveform, in sine phase.
WAVEFORMS: dict[str, Callable[[int], float]] = {
    "sine": lambda k: float(k == 1),
    "saw": lambda k: 1 / k,
    "triangle": lambda k: (k % 2) * (-1) ** (k // 2) / k**2,
    "square": lambda k: (k % 2) / k,
}
TIMBRES = tuple(WAVEFORMS)
FREQUENCIES = tuple(110 * 2 ** (step / 6) for step in range(21))  # Hz
RMS, LEVEL_RANGE, NOISE = 0.1, 3.0, -60.0  # of full scale at most; dB below it; dB relative to RMS


def frequency_class(index: int) -> str:
    """The name of frequency ``index`` as a class.

    >>> frequency_class(0), frequency_class(20)
    ('f00_110Hz', 'f20_1109Hz')
    """
    return f"f{index:02d}_{FREQUENCIES[index]:.0f}Hz"


FREQUENCY_CLASSES = tuple(frequency_class(k) for k in range(len(FREQUENCIES)))


@dataclass(frozen=True)
class Sound:
    """A generated sound: what it is, and its file."""

    clip: Clip
    path: Path


@lru_cache(maxsize=len(TIMBRES) * len(FREQUENCIES))
def waveform(timbre: int, frequency: int) -> np.ndarray:
    """Twice the length of a sound, of unit rms, float64 [sample]."""
    pitch = FREQUENCIES[frequency]
    phase = 2 * np.pi * pitch * np.arange(round(2 * SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    amplitude = WAVEFORMS[TIMBRES[timbre]]
    harmonics = range(1, math.ceil(SAMPLE_RATE / 2 / pitch))
    wave: np.ndarray = np.sum([amplitude(k) * np.sin(k * phase) for k in harmonics if amplitude(k)], axis=0)
    return wave / np.sqrt(np.mean(wave**2))


def sound(rng: np.random.Generator, timbre: int, frequency: int) -> np.ndarray:
    """One sound, float64 [sample]: its phase (where in `waveform` it begins), level and noise drawn from ``rng``."""
    samples = round(SECONDS * SAMPLE_RATE)
    start = rng.integers(samples)
    level = RMS * 10 ** (-rng.uniform(0, LEVEL_RANGE) / 20)
    noise = RMS * 10 ** (NOISE / 20) * rng.standard_normal(samples)
    return level * waveform(timbre, frequency)[start : start + samples] + noise


def generate(folder: Path, count: int, seed: int) -> list[Sound]:
    """``count`` sounds as 16-bit wav files in ``folder``, of the 84 combinations in turn; those that are there whole
    stay.

    Sound i depends on ``seed`` and i only, so that more of them begin with the same.

    Returns:
        by name; a clip's group is its waveform, its one label of kind ``frequency`` the class of its frequency.

    Raises:
        ValueError: ``folder`` holds something else, such as sounds of another seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "seed.txt"
    if not any(folder.iterdir()):
        write_atomic(mark, f"{seed}\n")
    if not mark.exists() or mark.read_text() != f"{seed}\n":
        raise ValueError(f"{folder} holds other things than the sounds of seed {seed}: delete it, or take another")
    clips = []
    for index in tqdm(range(count), desc="sounds", unit="sound", leave=False):
        timbre, frequency = index % len(TIMBRES), index // len(TIMBRES) % len(FREQUENCIES)
        path = folder / f"{index:06d}.wav"
        if not path.exists() or path.stat().st_size != BYTES:
            with replacing(path) as part:
                write_pcm16(part, sound(np.random.default_rng((seed, index)), timbre, frequency), SAMPLE_RATE)
        labels = {"frequency": (frequency_class(frequency),)}
        clips.append(Sound(Clip(path.name, TIMBRES[timbre], labels), path))
    return clips
