"""The generated sounds: four waveforms at 21 frequencies.

A sound lasts one second at 16 kHz. Its factors are its waveform (timbre) and its frequency, in whole tones from
110 Hz (A2) to 1109 Hz (C♯6). Waveforms are sums of their harmonics below half the sample rate, so they do not alias,
and have the same rms. Phase and level are random, the level within 3 dB; noise is added at −60 dB. The paper (Wilkins
et al. 2024) gives the waveforms and the number of frequencies; range, phase, level and noise are our choices.
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
from sonyc_tasks.files import is_empty, replacing, sync_tree, write_atomic
from training.data.records import Clip

SAMPLE_RATE, SECONDS = 16_000, 1.0
FILE_BYTES = 44 + 2 * round(SECONDS * SAMPLE_RATE)  # header and 16-bit samples of a sound's file
#: Amplitude of harmonic k = 1, 2, … of each waveform, all in sine phase.
WAVEFORMS: dict[str, Callable[[int], float]] = {
    "sine": lambda k: float(k == 1),
    "saw": lambda k: 1 / k,
    "triangle": lambda k: (k % 2) * (-1) ** (k // 2) / k**2,
    "square": lambda k: (k % 2) / k,
}
TIMBRES = tuple(WAVEFORMS)
FREQUENCIES = tuple(110 * 2 ** (step / 6) for step in range(21))  # Hz
RMS, LEVEL_RANGE, NOISE = 0.1, 3.0, -60.0  # largest rms, full scale is 1; dB; dB relative to RMS


def frequency_class(index: int) -> str:
    """Return the class name of a frequency, given its index in `FREQUENCIES`.

    >>> frequency_class(0), frequency_class(20)
    ('f00_110Hz', 'f20_1109Hz')
    """
    return f"f{index:02d}_{FREQUENCIES[index]:.0f}Hz"


FREQUENCY_CLASSES = tuple(frequency_class(k) for k in range(len(FREQUENCIES)))


@dataclass(frozen=True)
class Sound:
    """A generated sound.

    Attributes:
        clip: its name and factors: the group is the waveform, the label of kind "frequency" the frequency's class.
        path: its 16-bit WAV file.
    """

    clip: Clip
    path: Path


@lru_cache(maxsize=len(TIMBRES) * len(FREQUENCIES))
def waveform(timbre: int, frequency: int) -> np.ndarray:
    """Synthesise a waveform, twice as long as a sound and with rms 1.

    Args:
        timbre: index in `TIMBRES`.
        frequency: index in `FREQUENCIES`.

    Returns:
        float64 [sample].
    """
    pitch = FREQUENCIES[frequency]
    phase = 2 * np.pi * pitch * np.arange(round(2 * SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    amplitude = WAVEFORMS[TIMBRES[timbre]]
    harmonics = range(1, math.ceil(SAMPLE_RATE / 2 / pitch))
    wave: np.ndarray = np.sum([amplitude(k) * np.sin(k * phase) for k in harmonics if amplitude(k)], axis=0)
    return wave / np.sqrt(np.mean(wave**2))


def sound(rng: np.random.Generator, timbre: int, frequency: int) -> np.ndarray:
    """Draw one sound with random phase, level and noise.

    Args:
        rng: source of randomness.
        timbre: index in `TIMBRES`.
        frequency: index in `FREQUENCIES`.

    Returns:
        float64 [sample], an excerpt of `waveform` with added noise.
    """
    samples = round(SECONDS * SAMPLE_RATE)
    start = rng.integers(samples)
    level = RMS * 10 ** (-rng.uniform(0, LEVEL_RANGE) / 20)
    noise = RMS * 10 ** (NOISE / 20) * rng.standard_normal(samples)
    return level * waveform(timbre, frequency)[start : start + samples] + noise


def generate(folder: Path, count: int, seed: int) -> list[Sound]:
    """Generate sounds as 16-bit WAV files, cycling through the 84 combinations; complete files are kept.

    Sound i depends only on ``seed`` and i, so a larger set begins with the same sounds as a smaller one.

    Args:
        folder: where to write the files.
        count: number of sounds.
        seed: of phases, levels and noise.

    Returns:
        The sounds, ordered by file name.

    Raises:
        ValueError: the folder contains something else, for instance sounds of another seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seed_file = folder / "seed.txt"
    if is_empty(folder):
        write_atomic(seed_file, f"{seed}\n")
    if not seed_file.exists() or seed_file.read_text() != f"{seed}\n":
        raise ValueError(f"{folder} contains something else than sounds of seed {seed}; delete it, or choose another")
    clips = []
    for index in tqdm(range(count), desc="sounds", unit="sound", leave=False):
        timbre, frequency = index % len(TIMBRES), index // len(TIMBRES) % len(FREQUENCIES)
        path = folder / f"{index:06d}.wav"
        if not path.exists() or path.stat().st_size != FILE_BYTES:
            with replacing(path, durable=False) as part:
                write_pcm16(part, sound(np.random.default_rng((seed, index)), timbre, frequency), SAMPLE_RATE)
        labels = {"frequency": (frequency_class(frequency),)}
        clips.append(Sound(Clip(path.name, TIMBRES[timbre], labels), path))
    sync_tree(folder)  # all at once, as waiting for each file would take longer than making it
    return clips
