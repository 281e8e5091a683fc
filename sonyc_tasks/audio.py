"""Audio files in and out: any file to mono float at one sample rate and one length, and back to 16-bit PCM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr


def read_mono(path: str | Path, sample_rate: int) -> np.ndarray:
    """The samples of an audio file as float32 [n], the mean of its channels, at ``sample_rate`` Hz.

    Full scale is ±1. Resampling (soxr, its HQ setting) rings at steep edges, so a file whose peaks touch full scale
    can come out a little beyond ±1; nothing is limited here.

    Raises ValueError where the file is missing, cannot be decoded, holds no samples, or holds NaN or infinity.
    """
    _require_file(path)
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)  # [n, channel]
    except soundfile.LibsndfileError as error:
        raise ValueError(_undecodable(path)) from error
    if len(samples) == 0:
        raise ValueError(f"{path} holds no samples; fetch it again, or leave it out of the data set")
    mono = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise ValueError(f"{path} holds NaN or infinite samples; convert it again, or leave it out of the data set")
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return mono


def duration(path: str | Path) -> float:
    """Length of an audio file in seconds, from its header alone. Raises ValueError like :func:`read_mono`."""
    _require_file(path)
    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise ValueError(_undecodable(path)) from error
    return info.frames / info.samplerate


def fit(samples: np.ndarray, length: int) -> np.ndarray:
    """``samples`` [n] cut at its end, or lengthened there with zeros, to [length].

    >>> fit(np.array([1.0, 2.0, 3.0]), 2), fit(np.array([1.0]), 3)
    (array([1., 2.]), array([1., 0., 0.]))
    """
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def write_pcm16(path: str | Path, samples: np.ndarray, sample_rate: int) -> bool:
    """Write mono float samples [n] as a 16-bit PCM WAV file; True if some lay beyond full scale and were limited.

    Sixteen-bit input that was only read and not resampled comes out bit for bit as it went in.
    """
    scaled = np.rint(samples * 32768.0)
    soundfile.write(str(path), np.clip(scaled, -32768, 32767).astype(np.int16), sample_rate, subtype="PCM_16")
    # One step above the largest code is what rounding makes of full scale itself, and no audible limiting.
    return bool((scaled > 32768).any() or (scaled < -32768).any())


def _require_file(path: str | Path) -> None:
    if not Path(path).is_file():
        raise ValueError(f"there is no audio file {path}; check the path, or fetch the data set again")


def _undecodable(path: str | Path) -> str:
    return f"{path} cannot be decoded as audio; fetch it again, or leave it out of the data set"
