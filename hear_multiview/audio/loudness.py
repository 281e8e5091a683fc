"""Loudness: each clip is normalised to −24 LUFS (ITU-R BS.1770-4) before a codec sees it, as in the paper.

The K-weighting filters are pyloudnorm's. The gating is our own, because it needs only the energy of each 0.1 s: so it
streams, and 20 minutes of audio take no more memory than 10 seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from hear_multiview.audio.streamed import Audio

#: The paper's target, in LUFS.
TARGET = -24.0
#: A quarter of BS.1770's gating block, in seconds; blocks start one step apart (75 % overlap).
STEP = 0.1
#: Blocks below this never count, in LUFS.
ABSOLUTE_GATE = -70.0
#: Samples filtered at a time.
CHUNK_SAMPLES = 1 << 19


#: Samples from one to another of a clip, float [sample].
Slice = Callable[[int, int], np.ndarray]


def integrated_loudness(clip: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness of mono ``clip`` [sample] in LUFS; −inf if every block is below the −70 LUFS gate.

    A clip shorter than the standard's 0.4 s block is measured as one block of its own length, which is continuous with
    the standard at 0.4 s.

    >>> tone = np.sin(2 * np.pi * 997 * np.arange(44100) / 44100)
    >>> abs(integrated_loudness(tone, 44100) - -3.01) < 0.1      # BS.1770: a full-scale 997 Hz sine reads −3.01
    True
    """
    return _loudness_and_peak(lambda start, stop: clip[start:stop], len(clip), sample_rate)[0]


def _loudness_and_peak(clip: Slice, length: int, sample_rate: int) -> tuple[float, float]:
    """`integrated_loudness` of a clip of ``length`` samples, and its largest magnitude, in one pass over it."""
    peak = 0.0

    def chunks(size: int) -> Iterator[np.ndarray]:
        nonlocal peak
        for start in range(0, length, size):
            x = clip(start, min(start + size, length))
            peak = max(peak, float(x.max()), -float(x.min()))
            yield x

    power = _block_power(chunks, length, sample_rate)
    loud = power[_lufs(power) > ABSOLUTE_GATE]
    if not len(loud):
        return -np.inf, peak
    gate = _lufs(loud.mean()) - 10  # the relative gate: 10 LU below what passed the absolute one
    return float(_lufs(loud[_lufs(loud) > gate].mean())), peak


def gains(audio: Audio, sample_rate: int) -> Tensor:
    """The factor for each clip of ``audio`` [clip, sample] that brings it to −24 LUFS: float32 [clip, 1].

    The paper leaves two cases open. A silent clip (nothing above the −70 LUFS gate) is not changed. And a clip whose
    peak would exceed full scale is raised only up to full scale, as in descript-audio-codec's own pre-processing, since
    the codec has never seen anything louder.
    """
    source = audio.detach().cpu() if isinstance(audio, Tensor) else audio
    result = []
    for index in range(len(source)):

        def clip(start: int, stop: int, one: slice = slice(index, index + 1)) -> np.ndarray:
            return source[one, start:stop][0].cpu().numpy()

        loudness, peak = _loudness_and_peak(clip, source.shape[1], sample_rate)
        gain = 10 ** ((TARGET - loudness) / 20) if np.isfinite(loudness) else 1.0
        result.append(gain if gain * peak <= 1 else 1 / peak)
    return torch.tensor(result, dtype=torch.float32, device=audio.device)[:, None]


def _lufs(power: np.ndarray) -> np.ndarray:
    """K-weighted mean square [...] to LUFS [...]."""
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(power)


def _block_power(chunks: Callable[[int], Iterator[np.ndarray]], length: int, sample_rate: int) -> np.ndarray:
    """Mean square of a K-weighted clip in every whole gating block, float64 [block]; ``chunks`` gives the clip's
    ``length`` samples in arrays of a size."""
    from pyloudnorm import Meter  # lazy: it imports scipy, which is slow
    from scipy.signal import lfilter

    stages = [(stage.b, stage.a) for stage in Meter(sample_rate)._filters.values()]
    states = [np.zeros(2) for _ in stages]
    step = min(round(STEP * sample_rate), -(-length // 4))
    energy, done = np.zeros(-(-length // step)), 0
    for chunk in chunks(CHUNK_SAMPLES // step * step):
        x = chunk.astype(np.float64)
        for k, (b, a) in enumerate(stages):
            x, states[k] = lfilter(b, a, x, zi=states[k])
        energy[done // step : -(-(done + len(x)) // step)] = np.add.reduceat(x * x, np.arange(0, len(x), step))
        done += len(x)
    if length < 4 * round(STEP * sample_rate):
        return energy.sum(keepdims=True) / length
    whole = energy[: length // step]
    return np.convolve(whole, np.ones(4), mode="valid") / (4 * step)
