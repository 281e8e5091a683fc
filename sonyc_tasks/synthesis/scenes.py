"""Scenes: which sources sound in a clip, when, how far and how loud; and the clip that a sensor records of them.

`draw_scene` gets its own random stream and the length of the clip, but no sensor, so source and sensor are independent.
Loudness is drawn as a signal-to-noise ratio over the background of the recording sensor, so that audibility does not
depend on the sensor either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import fft

from sonyc_tasks.dataset.taxonomy import COARSE, FINE, coarse_of
from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.sensors import Sensor, a_weight, background_level, hear
from sonyc_tasks.synthesis.signals import Array, Spectrum, Wave
from sonyc_tasks.synthesis.sources import BY_CLASS, SOURCES, sound_of

#: Chance that a clip has a class. Relative frequencies as on the street, but none so rare that a small set lacks it.
CHANCE = dict(zip(COARSE, (0.48, 0.21, 0.30, 0.21, 0.26, 0.21, 0.45, 0.21), strict=True))

#: Chance that a class sounds a second time (another car, another honk), and that a sound cannot be named.
SECOND, UNNAMED = 0.15, 0.1

#: Range in dB of the loudest eighth of a second of a source over the background, both A-weighted.
SNR = (-3.0, 18.0)

#: Distance in metres at which late reverberation is as strong as the direct sound.
_REVERBERATION_DISTANCE = 25.0

_BLOCK_SECONDS = 0.125


@dataclass(frozen=True)
class Event:
    """One source in a clip.

    Attributes:
        fine: Its fine tag.
        sound: The registered sound behind the tag.
        onset, duration: In seconds.
        snr: Level over the background in dB.
        distance: In metres.
        seed: Seed of the waveform.
    """

    fine: str
    sound: str
    onset: float
    duration: float
    snr: float
    distance: float
    seed: int

    @property
    def coarse(self) -> str:
        """Coarse class of the tag."""
        return coarse_of(self.fine)


def draw_scene(rng: Generator, seconds: float) -> list[Event]:
    """Draw the events of one clip of ``seconds``, perhaps none; classes are independent."""
    events = []
    for coarse in COARSE:
        if rng.random() < CHANCE[coarse]:
            for _ in range(1 + (rng.random() < SECOND)):
                events.append(_draw_event(rng, coarse, seconds))
    return events


def _draw_event(rng: Generator, coarse: str, seconds: float) -> Event:
    unnamed = [tag for tag in FINE if tag not in SOURCES and coarse_of(tag) == coarse]
    fine = unnamed[0] if unnamed and rng.random() < UNNAMED else str(rng.choice(BY_CLASS[coarse]))
    sound = sound_of(fine, rng)
    # A sound may continue beyond either end of the clip; up to half of it is outside.
    whole = rng.uniform(*SOURCES[sound].seconds)
    middle = rng.uniform(0, seconds)
    onset, stop = max(0.0, middle - whole / 2), min(seconds, middle + whole / 2)
    snr = rng.uniform(*SNR)
    # Loud sounds are mostly near, but a lorry carries further than a voice.
    distance = float(np.clip(6 * 10 ** ((SNR[1] - snr) / 24) * dsp.log_uniform(rng, 0.6, 1.8), 3, 150))
    return Event(fine, sound, onset, stop - onset, snr, distance, int(rng.integers(2**63)))


def record(events: list[Event], sensor: Sensor, rng: Generator, seconds: float, rate: int) -> Wave:
    """Render the clip [sample] that ``sensor`` records of ``events``; ``rng`` draws weather and noises."""
    samples = dsp.sample_count(seconds, rate)
    frequencies = np.linspace(0, rate / 2, len(sensor.place), dtype=np.float32)
    louder = rng.normal(0, 2.0)
    background = background_level(sensor, louder)
    arriving = np.zeros_like(sensor.direct)
    for weather in _weather(rng, frequencies, rate):
        arriving += fft.rfft(weather) * sensor.microphone
    for event in events:
        arriving += _arrive(event, sensor, background, frequencies, samples, rate)
    return hear(sensor, rng, arriving, louder, samples, rate)


def _arrive(event: Event, sensor: Sensor, background: float, frequencies: Array, samples: int, rate: int) -> Spectrum:
    """Return the spectrum [bin] of one source at the sensor's converter, at its level over ``background`` dB."""
    source = SOURCES[event.sound]
    wave = source.render(np.random.default_rng(event.seed), event.duration, rate)
    start = min(int(event.onset * rate), samples - 1)
    wave = wave[: samples - start]
    fade = min(dsp.sample_count(source.fade, rate), len(wave) // 2)
    slope = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    if start > 0:
        wave[:fade] *= slope
    if start + len(wave) < samples:
        wave[len(wave) - fade :] *= slope[::-1]
    padded = np.zeros(2 * (len(frequencies) - 1), dtype=np.float32)
    padded[start : start + len(wave)] = wave
    air = _air(frequencies, event.distance)
    loudest = _loudest(wave, frequencies, air * sensor.microphone, rate)
    gain = np.float32(10 ** ((background + event.snr - loudest) / 20))
    wet = np.float32(event.distance / _REVERBERATION_DISTANCE)
    response = (sensor.direct + wet * sensor.tail) * (air * gain / np.sqrt(1 + wet**2))
    return fft.rfft(padded) * response


def _air(frequencies: Array, metres: float) -> Array:
    """Return the gain [bin] of ``metres`` of air.

    This approximates the absorption of ISO 9613-1 in mild weather: about 0.5 dB per 100 m at 1 kHz, growing with
    frequency to the power 1.5.
    """
    kilohertz = frequencies / 1000
    return np.exp(np.float32(-np.log(10) / 20 * 0.005 * metres) * kilohertz * np.sqrt(kilohertz))


def _loudest(wave: Wave, frequencies: Array, gain: Array, rate: int) -> float:
    """Return the A-weighted level in dB of the loudest eighth of a second of a wave after a filter.

    Args:
        wave: [sample].
        frequencies: Of the filter, in Hz, [bin].
        gain: Of the filter, [bin].
        rate: Sample rate in Hz.
    """
    size = dsp.sample_count(_BLOCK_SECONDS, rate)
    padded = np.zeros(-(-len(wave) // size) * size, dtype=np.float32)
    padded[: len(wave)] = wave
    spectrum = fft.rfft(padded.reshape(-1, size), axis=1)
    pitch = fft.rfftfreq(size, 1 / rate)
    weight = ((a_weight(pitch) * np.interp(pitch, frequencies, gain)) ** 2).astype(np.float32)
    power = 2 * np.einsum("bk,k->b", np.square(spectrum.real) + np.square(spectrum.imag), weight) / size**2
    return float(10 * np.log10(power.max() + 1e-12))


def _weather(rng: Generator, frequencies: Array, rate: int) -> Iterator[Wave]:
    """Yield waves [sample] before the microphone: low noise of wind in gusts, and uneven hiss of rain; usually none.

    They have no label.
    """
    period = 2 * (len(frequencies) - 1)
    if rng.random() < 0.25:
        gusts = np.clip(dsp.slow_noise(rng, period, rate, rng.uniform(0.3, 1.5)), 0, None) ** 1.5
        rumble = dsp.coloured(rng, dsp.gain_curve(frequencies, [(20, 0), (60, -3), (250, -20), (1500, -50)]), period)
        yield _level(rumble, rng.uniform(-52, -34)) * dsp.upsample(gusts, period)
    if rng.random() < 0.08:
        points = [(300, -20), (1500, -6), (5000, 0), (12_000, -8), (20_000, -20)]
        patter = dsp.coloured(rng, dsp.gain_curve(frequencies, points), period)
        uneven = 1 + 0.15 * dsp.slow_noise(rng, period, rate, 15.0)
        yield _level(patter, rng.uniform(-70, -56)) * dsp.upsample(uneven, period)


def _level(wave: Wave, db: float) -> Wave:
    """Scale ``wave`` to an rms of ``db`` dB full scale."""
    return wave * np.float32(10 ** (db / 20) / np.sqrt(np.mean(np.square(wave))))
