"""Renditions: what is done to a clip's waveform before the front end, once and ahead of training.

A rendition is written as a name and its arguments, ``speed(1.06)``; the name is looked up in `RENDITIONS` and in those
of every system. What it costs does not matter much, since its frames are stored like those of the originals. All
renditions of a clip are made one after another, so that a maker may keep what they have in common.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from inspect import signature

import numpy as np
import soxr

from training.data.records import ORIGINAL
from training.registry import registered

#: Takes a waveform float32 [sample], its sample rate in Hz and the rendition's arguments; returns float32 [sample'].
Maker = Callable[..., np.ndarray]

_WRITTEN = re.compile(r"(\w+)(?:\(([^()]*)\))?")


def speed(audio: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """``audio`` [sample] played ``factor`` times as fast: pitch and tempo change together."""
    if not 0.25 <= factor <= 4:
        raise ValueError(f"rendition speed({factor:g}) is out of range; choose a factor from 0.25 to 4")
    changed: np.ndarray = soxr.resample(audio, sample_rate * factor, sample_rate)
    return changed


def noise(audio: np.ndarray, sample_rate: int, std: float) -> np.ndarray:
    """``audio`` [sample] plus Gaussian noise of standard deviation ``std``; that of equal audio is equal."""
    drawn = np.random.default_rng(zlib.crc32(audio.tobytes())).standard_normal(len(audio), np.float32)
    return audio + np.float32(std) * drawn


#: Renditions of the core.
RENDITIONS: dict[str, Maker] = {"speed": speed, "noise": noise}


def parsed(name: str) -> tuple[str, tuple[float, ...]]:
    """What a rendition's name consists of: the name in the registry, and the arguments.

    Raises:
        ValueError: it is not written like a rendition, or its arguments are not numbers.

    >>> parsed("speed(1.06)"), parsed("original")
    (('speed', (1.06,)), ('original', ()))
    """
    written = _WRITTEN.fullmatch(name)
    if not written:
        raise ValueError(f"unknown rendition {name!r}; write it like speed(1.06)")
    try:
        return written[1], tuple(float(part) for part in (written[2] or "").split(",") if part.strip())
    except ValueError:
        raise ValueError(
            f"rendition {name!r} has an argument that is not a number; write it like speed(1.06)"
        ) from None


def maker(name: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """What makes the rendition called ``name`` from a waveform float32 [sample] and its sample rate in Hz.

    Raises:
        ValueError: the name is not a rendition's, or its arguments are not numbers or not as many as it takes.
    """
    if name == ORIGINAL:
        return lambda audio, sample_rate: audio
    kind, arguments = parsed(name)
    makers = registered("renditions")
    if kind not in makers:
        raise ValueError(f"unknown rendition {name!r}; choose {ORIGINAL} or one of {', '.join(makers)}")

    try:
        signature(makers[kind]).bind(None, 0, *arguments)
    except TypeError as error:
        raise ValueError(f"rendition {name!r} cannot be made ({error}); write it like speed(1.06)") from None

    def render(audio: np.ndarray, sample_rate: int) -> np.ndarray:
        return np.ascontiguousarray(makers[kind](audio, sample_rate, *arguments), dtype=np.float32)

    return render
