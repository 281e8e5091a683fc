"""Pitch shifting that keeps the length, so that a shifted clip is aligned with the original."""

from __future__ import annotations

import numpy as np

from training.data.records import ORIGINAL
from training.data.renditions import Maker, parsed

#: Window of the phase vocoder in samples. At 16 kHz it moves onsets by at most 7 ms; librosa's 2048 moves them by 32.
N_FFT = 512


def pitch(audio: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """``audio`` [sample] with its pitch raised by ``semitones`` (lowered where negative), of the same length.

    A shift by ratio r is one of 12 · log2(r) semitones.

    Raises:
        ValueError: the shift is over two octaves.
    """
    if not -24 <= semitones <= 24:
        raise ValueError(f"rendition pitch({semitones:g}) is out of range; choose from -24 to 24 semitones")
    import librosa  # takes a second to import

    # The vocoder needs a few windows of sound, also of a clip that is shorter.
    padded = np.pad(audio, (0, max(0, 4 * N_FFT - len(audio))))
    return librosa.effects.pitch_shift(padded, sr=sample_rate, n_steps=semitones, n_fft=N_FFT)[: len(audio)]


def semitones_of(rendition: str) -> float:
    """The shift of a rendition by its name, in semitones; 0 where it is the original.

    Raises:
        ValueError: it is a rendition of another kind.

    >>> semitones_of("pitch(-3)"), semitones_of("original")
    (-3.0, 0.0)
    """
    kind, arguments = parsed(rendition)
    if kind == "pitch" and len(arguments) == 1:
        return arguments[0]
    if rendition == ORIGINAL:
        return 0.0
    raise ValueError(f"rendition {rendition!r} has no shift in pitch; choose {ORIGINAL} or one like pitch(3)")


RENDITIONS: dict[str, Maker] = {"pitch": pitch}
