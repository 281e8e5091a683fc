"""Building blocks of the synthetic sounds: oscillators, shaped noise, damped modes and slow curves.

Conventions:

- A *wave* is float32 [sample]. Its level is arbitrary unless stated otherwise, because the scene sets it.
- A *curve* [frame] changes slowly (a pitch, a load, a formant). Point i belongs to sample ``i * HOP``, so that all
  curves, time-varying filters and gains are aligned.
- A *response* is a gain per bin of a window of ``2 * HOP`` samples, [bin] or [frame, bin].
- ``rng`` draws all randomness; ``rate`` is the sample rate in Hz; ``samples`` is the length of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy import fft

Array = npt.NDArray[np.floating]
Wave = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]

#: Samples between two points of a curve: 10.7 ms at 48 kHz, about the time resolution of ear and vocal tract.
HOP = 512
_TABLE = 16384
_WINDOW = np.sqrt(np.hanning(2 * HOP + 1)[:-1]).astype(np.float32)
_RAMP = (np.arange(HOP, dtype=np.float32) / HOP)[None, :]


def sample_count(seconds: float, rate: int) -> int:
    """Return the length in samples of a sound of ``seconds``, at least 1."""
    return max(1, round(seconds * rate))


def frame_count(samples: int) -> int:
    """Return the number of points of a curve that spans ``samples`` samples, both ends included.

    >>> frame_count(HOP), frame_count(HOP + 1)
    (3, 3)
    """
    return samples // HOP + 2


def frame_times(samples: int, rate: int) -> Array:
    """Return the times [frame] in seconds of the points of a curve."""
    return np.arange(frame_count(samples)) * (HOP / rate)


def upsample(curve: Array, samples: int) -> Wave:
    """Interpolate a curve [frame] linearly at every sample, [sample]."""
    points = np.asarray(curve, dtype=np.float32)
    lines = points[:-1, None] + np.diff(points)[:, None] * _RAMP
    return lines.ravel()[:samples].astype(np.float32, copy=False)


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform, as for frequencies, distances and times, where ratios matter."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def slow_noise(rng: Generator, samples: int, rate: int, hz: float) -> Array:
    """Draw a curve [frame] of about zero mean and unit deviation that changes direction about ``hz`` times a second."""
    times = frame_times(samples, rate)
    knots = rng.standard_normal(int(times[-1] * hz) + 3)
    return np.interp(times * hz + rng.uniform(), np.arange(len(knots)), knots)


def piecewise_linear(times: Array, knots: Iterable[tuple[float, float]]) -> Array:
    """Return a curve [frame] of straight lines through (seconds, value) ``knots``, sorted by time; constant outside."""
    at, value = zip(*knots, strict=True)
    return np.interp(times, at, value)


def harmonics(rng: Generator, amplitudes: Array) -> Wave:
    """Return one period [_TABLE] of unit rms; its k-th harmonic has ``amplitudes[k - 1]`` and a random phase."""
    count = min(len(amplitudes), _TABLE // 2 - 1)
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex64)
    spectrum[1 : count + 1] = amplitudes[:count] * np.exp(2j * np.pi * rng.random(count))
    period = fft.irfft(spectrum)
    return (period / (np.sqrt(np.mean(period**2)) + 1e-12)).astype(np.float32)


def harmonic_numbers(rate: int, pitch: float, limit: float = 20_000.0) -> Array:
    """Return the numbers [harmonic] 1, 2, … of the harmonics of ``pitch`` Hz below ``limit`` Hz and half the rate."""
    return np.arange(1, max(2, int(min(limit, 0.47 * rate) / pitch) + 1), dtype=np.float64)


def oscillate(rng: Generator, period: Wave, pitch: Array | float, samples: int, rate: int) -> Wave:
    """Return the wave [sample] that repeats ``period`` at ``pitch`` Hz (a number, or a curve [frame])."""
    step = np.float64(pitch) if np.ndim(pitch) == 0 else upsample(np.asarray(pitch), samples).astype(np.float64)
    phase = np.cumsum(np.broadcast_to(step * (_TABLE / rate), samples))
    phase += rng.integers(_TABLE)
    return period[phase.astype(np.int64) & (_TABLE - 1)]


def white(rng: Generator, samples: int) -> Wave:
    """Draw white noise [sample] of unit rms; uniform, as filtering turns it into nearly Gaussian noise anyway."""
    return (rng.random(samples, dtype=np.float32) - np.float32(0.5)) * np.float32(np.sqrt(12))


def noise_spectrum(rng: Generator, rms: Array) -> Spectrum:
    """Draw Fourier coefficients [bin] of stationary noise with ``rms`` [bin] in each bin; powers add up."""
    scale = (rms * np.float32(len(rms) - 1)).astype(np.float32)
    return white(rng, 2 * len(rms)).view(np.complex64) * scale


def coloured(rng: Generator, rms: Array, samples: int) -> Wave:
    """Draw stationary noise [sample] of ``rms`` [bin] per bin from 0 to half the sample rate.

    Its period is ``2 * (bins - 1)`` samples, which must be at least ``samples``.
    """
    return fft.irfft(noise_spectrum(rng, rms), 2 * (len(rms) - 1))[:samples]


def filter_stft(wave: Array, response: Array) -> Wave:
    """Filter ``wave`` [sample] by overlap-add with a zero-phase ``response``, [bin] or time-varying [frame, bin]."""
    frames = frame_count(len(wave))
    padded = np.zeros((frames + 1) * HOP, dtype=np.float32)
    padded[HOP : HOP + len(wave)] = wave
    blocks = padded.reshape(frames + 1, HOP)
    spectrum = fft.rfft(np.hstack((blocks[:-1], blocks[1:])) * _WINDOW, axis=1)
    spectrum *= np.asarray(response, dtype=np.float32)
    pieces = fft.irfft(spectrum, axis=1) * _WINDOW
    whole = np.zeros_like(blocks)
    whole[:-1] += pieces[:, :HOP]
    whole[1:] += pieces[:, HOP:]
    return whole.ravel()[HOP : HOP + len(wave)]


def bins(rate: int) -> Array:
    """Return the frequencies [bin] in Hz of a response."""
    return np.arange(HOP + 1, dtype=np.float32) * np.float32(rate / (2 * HOP))


def gain_curve(frequencies: Array, points: Sequence[tuple[float, float]]) -> Array:
    """Return gains at ``frequencies`` (Hz) of straight lines through (Hz, dB) ``points`` over log frequency."""
    at, level = zip(*points, strict=True)
    octaves = np.log2(np.maximum(frequencies, 1.0))
    return (10.0 ** (np.interp(octaves, np.log2(at), level) / 20.0)).astype(np.float32)


def resonances(rate: int, centres: Array, widths: Array, gains: Array) -> Array:
    """Return the response of parallel resonances.

    Args:
        rate: Sample rate in Hz.
        centres: In Hz, [peak] or [frame, peak].
        widths: Distance in Hz at which the gain has fallen by half (6 dB), [peak].
        gains: Height of each peak, [peak].
    """
    frequencies = bins(rate)
    total = np.zeros((*np.shape(centres)[:-1], HOP + 1), dtype=np.float32)
    for peak in range(np.shape(centres)[-1]):
        offset = (frequencies - np.asarray(centres, dtype=np.float32)[..., peak, None]) * np.float32(1 / widths[peak])
        np.square(offset, out=offset)
        offset += 1
        total += np.float32(gains[peak]) / offset
    return total


def bandpass(rate: int, low: float, high: float, order: int = 2) -> Array:
    """Return the response [bin] of Butterworth high- and low-pass filters at ``low`` and ``high`` Hz, of ``order``."""
    frequencies = np.maximum(bins(rate), 1.0)
    return 1 / np.sqrt((1 + (low / frequencies) ** (2 * order)) * (1 + (frequencies / high) ** (2 * order)))


def damped_modes(rate: int, seconds: float, pitches: Array, decays: Array, amplitudes: Array, phases: Array) -> Wave:
    """Synthesise a struck body [sample] as a sum of damped sines (modal synthesis, Adrien 1991).

    ``exp(step · n)`` is the product of a coarse and a fine power, so two short tables replace the exponential and sine
    of every sample.

    Args:
        rate: Sample rate in Hz.
        seconds: Length of the result.
        pitches: In Hz, [mode].
        decays: Seconds in which each mode falls by 60 dB, [mode].
        amplitudes: [mode].
        phases: In radians, [mode].
    """
    samples, fine = sample_count(seconds, rate), 256
    step = (-np.log(1000.0) / decays + 2j * np.pi * pitches) / rate
    coarse = np.arange(-(-samples // fine)) * fine
    heads = (amplitudes * np.exp(1j * phases))[:, None] * np.exp(step[:, None] * coarse)
    tails = np.exp(step[:, None] * np.arange(fine))
    return np.einsum("ka,kb->ab", heads.astype(np.complex64), tails.astype(np.complex64)).imag.ravel()[:samples]


def ring_down(rate: int, seconds: float, samples: int) -> Wave:
    """Return a gain [sample] that falls by 60 dB in ``seconds``."""
    return np.exp(np.arange(samples, dtype=np.float32) * np.float32(-np.log(1000.0) / (seconds * rate)))


def place_events(onsets: Array, amplitudes: Array, sounds: Sequence[Wave], samples: int) -> Wave:
    """Return a wave [sample] with a copy of a sound at each onset (sample number), using the sounds in rotation."""
    wave = np.zeros(samples, dtype=np.float32)
    for index, (onset, amplitude) in enumerate(zip(np.asarray(onsets, dtype=int), amplitudes, strict=True)):
        if 0 <= onset < samples:
            sound = sounds[index % len(sounds)][: samples - onset]
            wave[onset : onset + len(sound)] += np.float32(amplitude) * sound
    return wave


def normalize_rms(wave: Wave) -> Wave:
    """Scale ``wave`` [sample] to unit rms."""
    return wave / np.float32(np.sqrt(np.mean(np.square(wave))) + 1e-9)


def pass_by(rng: Generator, samples: int, rate: int) -> tuple[Array, Array]:
    """Draw a source that drives past on a straight line.

    Returns:
        Curves [frame]: the gain (1 / distance, 1 at the nearest point), and the factor of the pitch (Doppler).
    """
    times = frame_times(samples, rate)
    speed, nearest = rng.uniform(4.0, 16.0), log_uniform(rng, 4.0, 25.0)
    along = speed * (times - rng.uniform(-0.1, 1.1) * times[-1])
    distance = np.hypot(nearest, along)
    return nearest / distance, 1 / (1 + speed * along / distance / 343.0)
