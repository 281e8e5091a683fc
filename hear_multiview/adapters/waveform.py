"""A clip as a benchmark gives it, turned into one waveform: mono, float32, at the model's sample rate.

A clip that cannot be right is refused by name: an array that is not [channel, sample], a number type without a known
full scale, samples far beyond full scale, a sampling rate that no recording has.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import soxr

from hear_multiview.files import first_line

#: More channels than a recording has; an array with more rows is a batch or a spectrogram.
MAX_CHANNELS = 32
#: Lowest and highest, in Hz. Time and memory of resampling depend on the ratio of two rates.
SAMPLING_RATES = (1_000, 1_000_000)
#: Largest sample where full scale is 1: decoders of lossy formats go a little beyond.
MAX_PEAK = 2.0
#: Full scale of integer samples.
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


def waveform(clip: Any, sample_rate: int, name: str) -> np.ndarray:
    """The samples of ``clip`` as float32 [sample] at ``sample_rate`` Hz, resampled by soxr.

    Args:
        clip: a mapping with ``array``, [sample] or [channel, sample], in floating point with a full scale of 1, or in
            int16 or int32; and ``sampling_rate`` in Hz. Or a decoder of torchcodec.
        sample_rate: of the result, in Hz.
        name: of the clip, for errors and warnings.

    Channels are averaged. Where they cancel each other in the mean, the loudest is used, with a warning.

    Raises:
        ValueError: audio that cannot be decoded, has another layout, type or scale, has no samples, or a sampling rate
            that is not a whole number of Hz in `SAMPLING_RATES`.
    """
    array, rate = _decoded(clip, name)
    low, high = SAMPLING_RATES
    if not (isinstance(rate, int | float | np.number) and low <= rate <= high and float(rate).is_integer()):
        raise ValueError(f"{name} has a sampling rate of {rate}; give whole Hz from {low:,} to {high:,}")
    samples = _mono(_at_full_scale(_channels_first(array, name), name), name)
    if rate != sample_rate:
        samples = soxr.resample(samples, int(rate), sample_rate, quality="HQ")
    return samples


def _decoded(clip: Any, name: str) -> tuple[np.ndarray, Any]:
    """Array and sampling rate. Of a decoder all channels, which the library datasets would average."""
    if not hasattr(clip, "get_all_samples"):
        return np.asarray(clip["array"]), clip["sampling_rate"]
    try:
        decoded = clip.get_all_samples()
    except RuntimeError as error:  # also raised for a clip without samples
        raise ValueError(f"{name} cannot be decoded ({first_line(error)}); leave it out of the data set") from error
    return decoded.data.cpu().numpy(), decoded.sample_rate


def _channels_first(array: np.ndarray, name: str) -> np.ndarray:
    """``array`` as [channel, sample]."""
    if array.size == 0:
        raise ValueError(f"{name} holds no samples; leave it out of the data set")
    if array.ndim == 1:
        return array[None]
    if array.ndim != 2 or array.shape[0] > min(array.shape[1], MAX_CHANNELS):
        raise ValueError(
            f"{name} has shape {array.shape}; give [sample] or [channel, sample], with at most {MAX_CHANNELS} channels "
            "(soundfile reads [sample, channel]: transpose that)"
        )
    return array


def _at_full_scale(array: np.ndarray, name: str) -> np.ndarray:
    """``array`` in float32, with a full scale of 1."""
    if array.dtype in FULL_SCALE:
        return (array / FULL_SCALE[array.dtype]).astype(np.float32)
    if array.dtype.kind != "f":
        raise ValueError(
            f"{name} has samples of type {array.dtype}; give floats with a full scale of 1, or int16 or int32"
        )
    peak = max(float(array.max()), -float(array.min()))  # of any NaN, NaN
    if not np.isfinite(peak):
        raise ValueError(f"{name} holds NaN or infinite samples; leave it out of the data set")
    if peak > MAX_PEAK:
        raise ValueError(
            f"{name} holds samples up to {peak:g}, where full scale is 1; divide every clip of the data set by the "
            "same number (32768 for 16-bit samples)"
        )
    return array.astype(np.float32)


def _mono(channels: np.ndarray, name: str) -> np.ndarray:
    """The mean of ``channels`` [channel, sample], or the loudest of those that cancel each other.

    If only one of C channels has sound, 1/C² of its power is left in the mean; channels that do not oppose each other
    leave more. They cancel where the mean has less than a quarter of that.
    """
    if len(channels) == 1:
        return channels[0]
    power = channels.var(axis=1, dtype=np.float64)
    loudest = int(power.argmax())
    if channels.mean(axis=0, dtype=np.float64).var() < power[loudest] / (4 * len(channels) ** 2):
        warnings.warn(f"{name}: its channels cancel each other; channel {loudest + 1} is used alone", stacklevel=3)
        return channels[loudest]
    return channels.mean(axis=0, dtype=np.float32)
