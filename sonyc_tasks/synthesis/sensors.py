"""Sensors: the place and the device that all clips of one sensor share.

A place has echoes (direct sound with early reflections, and a late tail that grows with distance) and a background that
is never silent: distant traffic, ventilation, and how much these swell. A device has a gain, a microphone response and
an electronic noise floor. Nothing here depends on the sources.

All spectra [bin] are of clips padded to ``period`` samples, with ``period / 2 + 1`` bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import fft

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Array, Spectrum, Wave

#: Longest echo in seconds, by which clips are padded.
TAIL_SECONDS = 0.8

# A street without events, as (Hz, dB per Hz): octave bands fall by about 3 dB each, so the density by about 6 dB per
# octave, and faster above 3 kHz, where air absorbs distant sound.
_STREET = ((25, 7), (50, 3), (100, -3), (200, -9), (400, -15.5), (800, -21.5), (1600, -27.5), (3200, -36), (6400, -49))
_STREET_END = ((11_000, -60), (24_000, -74))


@dataclass(frozen=True)
class Site:
    """The place of a sensor, in the data set's columns."""

    borough: int
    block: int
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Sensor:
    """The acoustics and electronics of one sensor.

    Attributes:
        number: Its ``sensor_id``.
        site: Its place in the annotations.
        microphone: Gain [bin] of the device.
        direct: Response [bin] to a source: direct sound, early reflections, microphone and gain.
        tail: Response [bin] of late reverberation, microphone and gain, to a source at the reference distance.
        place: Rms [bin] of the background after microphone and gain.
        floor: Rms [bin] of the device's own noise.
        loudness: A-weighted power of ``place`` and of ``floor``.
        swell: Slow variation of the background in dB.
        offset: Constant of the converter, relative to full scale.
    """

    number: int
    site: Site
    microphone: Wave
    direct: Spectrum
    tail: Spectrum
    place: Wave
    floor: Wave
    loudness: tuple[float, float]
    swell: float
    offset: float


def padded_length(samples: int, rate: int) -> int:
    """Return the period in samples for convolving a clip of ``samples`` and its echoes, fast to transform."""
    return 2 * fft.next_fast_len((samples + dsp.sample_count(TAIL_SECONDS, rate) + 1) // 2, real=True)


def make_sensor(rng: Generator, number: int, period: int, rate: int) -> Sensor:
    """Draw sensor ``number`` from its own stream, for clips padded to ``period`` samples."""
    frequencies = np.linspace(0, rate / 2, period // 2 + 1)
    gain = 10 ** (rng.normal(0, 2.5) / 20)
    microphone = np.float32(gain) * _microphone(rng, frequencies)
    direct, tail = _echoes(rng, rate)
    site, place, floor = _site(rng), _place(rng, frequencies) * microphone, _floor(rng, frequencies)
    weight = a_weight(frequencies)
    return Sensor(
        number=number,
        site=site,
        microphone=microphone,
        direct=fft.rfft(direct, period) * microphone,
        tail=fft.rfft(tail, period) * microphone,
        place=place,
        floor=floor,
        loudness=(float(np.sum((place * weight) ** 2)), float(np.sum((floor * weight) ** 2))),
        swell=rng.uniform(0.5, 2.5),
        offset=rng.normal(0, 0.003),
    )


def hear(sensor: Sensor, rng: Generator, events: Spectrum, background_db: float, samples: int, rate: int) -> Wave:
    """Record a clip [sample] with full scale 1.

    Args:
        sensor: The sensor.
        rng: The clip's own stream, for the noises.
        events: Spectrum [bin] of the sources as they arrive, with echoes and microphone (see `scenes`).
        background_db: By how much the background is louder than usual.
        samples: Length of the clip.
        rate: Sample rate in Hz.
    """
    period = 2 * (len(sensor.place) - 1)
    # Traffic, wind and doors vary: tilting the spectrum about 600 Hz keeps the A-weighted level.
    octaves = np.log2(np.linspace(1, rate / 2, len(sensor.place), dtype=np.float32) / 600)
    mood = np.exp2(np.float32(rng.normal(0, 0.17)) * np.maximum(octaves, -5) + np.float32(background_db / 6.02))
    town = dsp.coloured(rng, sensor.place * mood, samples)
    town *= dsp.upsample(10 ** (sensor.swell / 20 * dsp.slow_noise(rng, samples, rate, 0.4)), samples)
    clip = fft.irfft(events + dsp.noise_spectrum(rng, sensor.floor), period)[:samples]
    return np.clip(clip + town + np.float32(sensor.offset), -1, 1)


def _site(rng: Generator) -> Site:
    borough = int(rng.choice((1, 3), p=(0.8, 0.2)))
    latitude, longitude = {1: (40.731, -73.994), 3: (40.694, -73.986)}[borough]
    spread = rng.normal(0, 0.003, 2).round(5)
    return Site(borough, int(rng.integers(100, 1000)), round(latitude + spread[0], 5), round(longitude + spread[1], 5))


def _microphone(rng: Generator, frequencies: Array) -> Wave:
    """Draw the gain [bin] of a microphone in a housing: low cut, ripple, a cavity resonance, high roll-off."""
    knots = np.geomspace(40, 20_000, 10)
    uneven = dsp.gain_curve(frequencies, list(zip(knots, rng.normal(0, 1.5, 10), strict=True)))
    centre, width = dsp.log_uniform(rng, 2500, 12_000), rng.uniform(0.1, 0.35)
    cavity = 1 + rng.uniform(0.2, 1.5) / (1 + ((frequencies / centre - 1) / width) ** 2)
    low_cut = 1 / np.sqrt(1 + (rng.uniform(10, 50) / np.maximum(frequencies, 1)) ** 4)
    roll_off = 1 / np.sqrt(1 + (frequencies / dsp.log_uniform(rng, 6000, 20_000)) ** rng.uniform(2, 5))
    return (uneven * cavity * low_cut * roll_off).astype(np.float32)


def _echoes(rng: Generator, rate: int) -> tuple[Wave, Wave]:
    """Draw impulse responses [sample] of direct sound with early reflections, and of the late tail.

    Each has unit gain on average over the frequencies that it passes, so that their factors set the mix.
    """
    samples = dsp.sample_count(TAIL_SECONDS, rate)
    direct = np.zeros(samples, dtype=np.float32)
    direct[0] = 1
    nearest = dsp.log_uniform(rng, 0.002, 0.02)  # delay in seconds of the first wall
    for delay in nearest * np.cumsum(1 + rng.exponential(1.0, rng.integers(3, 12))):
        if delay < 0.15:  # distant walls reflect less, and blur high frequencies
            at, blur = int(delay * rate), int(rng.integers(2, 24))
            echo = rng.choice((-1, 1)) * rng.uniform(0.2, 0.7) * (nearest / delay) ** 0.7
            direct[at : at + blur] += np.float32(echo) * np.hanning(blur + 2)[1:-1] / (blur / 2)
    time = np.arange(samples, dtype=np.float32) / np.float32(rate)
    decay = dsp.log_uniform(rng, 0.25, 1.6)
    noise = dsp.white(rng, samples) * np.exp(-6.9 / decay * time) * np.minimum(time / rng.uniform(0.005, 0.06), 1)
    noise *= np.minimum((TAIL_SECONDS - time) / 0.05, 1)
    tail = dsp.filter_stft(
        noise / np.sqrt(np.sum(noise**2)), dsp.bandpass(rate, rng.uniform(80, 300), dsp.log_uniform(rng, 900, 5000), 1)
    )
    return direct / np.float32(np.sqrt(np.sum(direct**2))), tail


def _place(rng: Generator, frequencies: Array) -> Wave:
    """Draw the rms [bin] of the background before the microphone: street, ventilators, distant traffic."""
    level = rng.normal(-41.5, 2.5)
    tilt, air = rng.normal(0, 0.8), rng.normal(0, 3.0)
    points = [(f, db + tilt * np.log2(f / 200) + rng.normal(0, 1.5)) for f, db in _STREET]
    points += [(f, db + tilt * 6 + air) for f, db in _STREET_END]
    shape = dsp.gain_curve(frequencies, points)
    shape[frequencies < 15] = 0
    for _ in range(rng.poisson(1.2)):  # fans: hum of the blades with a few unsteady harmonics
        blades, width = dsp.log_uniform(rng, 60, 900), rng.uniform(0.002, 0.02)
        for number in range(1, rng.integers(2, 7)):
            excess = 10 ** (rng.uniform(2, 14) / 20) / number**0.5
            shape *= 1 + excess / (1 + ((frequencies / (number * blades) - 1) / width) ** 2)
    return (shape * 10 ** (level / 20) / np.sqrt(np.sum(shape**2))).astype(np.float32)


def _floor(rng: Generator, frequencies: Array) -> Wave:
    """Draw the rms [bin] of the electronics: tilted hiss, in some devices mains hum or the whine of a power supply."""
    knots = ((50, rng.uniform(0, 15)), (1000, 0.0), (24_000, rng.uniform(-3, 5)))
    shape = dsp.gain_curve(frequencies, knots)
    shape *= 10 ** (rng.uniform(-83, -75) / 20) / np.sqrt(np.sum(shape**2))
    if rng.random() < 0.35:  # mains: 60 Hz, odd harmonics strongest, much narrower than a bin
        for number in range(1, rng.integers(4, 12)):
            centre = round(60 * number / frequencies[-1] * (len(frequencies) - 1))
            strength = 10 ** (rng.uniform(-85, -68) / 20) / number ** (1 if number % 2 else 1.6)
            shape[min(centre, len(shape) - 1)] += strength
    for _ in range(rng.poisson(0.4)):
        pitch, width = rng.uniform(9000, 23_500), rng.uniform(5, 400)
        peak = 10 ** (rng.uniform(-90, -76) / 20) / np.sqrt(width / frequencies[1])
        shape += peak / (1 + ((frequencies - pitch) / width) ** 2)
    return shape.astype(np.float32)


def a_weight(frequencies: Array) -> Array:
    """Return the A-weighting of IEC 61672-1 as a gain [bin] at ``frequencies`` in Hz, about 1 at 1 kHz."""
    square = np.asarray(frequencies, dtype=np.float64) ** 2
    flat = 12194.0**2 * square**2
    poles = (square + 20.6**2) * np.sqrt((square + 107.7**2) * (square + 737.9**2)) * (square + 12194.0**2)
    return 1.2589 * flat / poles


def background_level(sensor: Sensor, background_db: float) -> float:
    """Return the A-weighted level in dB full scale of a recording without sources (see `hear`)."""
    place, floor = sensor.loudness
    return float(10 * np.log10(place * 10 ** (background_db / 10) + floor))
