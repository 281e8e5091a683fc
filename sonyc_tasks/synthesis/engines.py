"""Engines (class 1): pulses of a firing order through an exhaust, under load, standing, pulling away or passing.

A combustion engine repeats with its cycle (two turns of the crank for a four-stroke). Every cylinder fires once per
cycle, so the harmonics of the firing rate dominate. Unequal cylinders add the harmonics in between, which makes an
engine rumble instead of whistle. Exhaust and body add fixed resonances; load adds noise and brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Array, Wave


@dataclass(frozen=True)
class Build:
    """One size of engine, with ranges of its properties.

    Attributes:
        cylinders: Possible numbers of cylinders.
        turns: Turns of the crank per cycle.
        rpm: Speed.
        knee: Frequency in Hz above which the pulses get weaker.
        exhaust: Frequencies in Hz of the exhaust resonances.
        noise: Amount of noise.
    """

    cylinders: tuple[int, ...]
    turns: int
    rpm: tuple[float, float]
    knee: tuple[float, float]
    exhaust: tuple[float, float]
    noise: tuple[float, float]


SMALL = Build((1, 2), 2, (1500, 6500), (150, 500), (180, 2500), (0.2, 0.8))
MEDIUM = Build((4, 6), 2, (650, 3200), (90, 300), (70, 1600), (0.3, 1.2))
LARGE = Build((6, 8), 2, (500, 1900), (60, 200), (40, 1100), (0.5, 1.8))


def firing(rng: Generator, build: Build, rpm: Array, load: Array, samples: int, rate: int) -> Wave:
    """Render the engine itself [sample], unit rms, for curves [frame] of ``rpm`` and of ``load`` from 0 to 1."""
    cylinders = int(rng.choice(build.cylinders))
    cycle = np.maximum(rpm, 60.0) / (60.0 * build.turns)
    numbers = dsp.harmonic_numbers(rate, float(cycle.max()), 6000.0)
    pitch = numbers * float(cycle.mean())
    strength = 1 / (1 + (pitch / dsp.log_uniform(rng, *build.knee)) ** rng.uniform(1.0, 1.6))
    between = rng.uniform(0.08, 0.5)
    strength *= np.where(numbers % cylinders == 0, 1.0, between * rng.random(len(numbers)))
    # No two firings are equal: jitter of the speed spreads the upper harmonics into noise.
    cycle = cycle * (1 + rng.uniform(0.003, 0.02) * dsp.slow_noise(rng, samples, rate, rng.uniform(6, 20)))
    pulses = dsp.oscillate(rng, dsp.harmonics(rng, strength), cycle, samples, rate)
    hiss = dsp.white(rng, samples) * (0.3 + np.abs(pulses)) * np.float32(rng.uniform(*build.noise) / 3)
    peaks = 7
    centres = np.sort([dsp.log_uniform(rng, *build.exhaust) for _ in range(peaks)])
    exhaust = dsp.resonances(rate, centres, centres * rng.uniform(0.15, 0.6, peaks), rng.uniform(0.3, 1.5, peaks))
    body = exhaust + 0.15 * dsp.bandpass(rate, 25, rng.uniform(300, 1200), 1)
    bright = dsp.bandpass(rate, rng.uniform(400, 900), rng.uniform(2000, 6000), 1) * rng.uniform(0.2, 0.7)
    return dsp.normalize_rms(dsp.filter_stft(pulses + hiss, body + load[:, None].astype(np.float32) * bright))


def _drive(rng: Generator, build: Build, times: Array) -> tuple[Array, Array]:
    """Draw curves [frame] of speed in rpm and of load for an engine that idles, pulls away or cruises."""
    low, high = build.rpm
    idle = low * rng.uniform(1.0, 1.35)
    end = times[-1]
    way = rng.choice(["idle", "pull", "cruise"], p=[0.4, 0.3, 0.3])
    if way == "idle":
        return np.full_like(times, idle), np.full_like(times, rng.uniform(0, 0.25))
    if way == "cruise":
        pace = dsp.log_uniform(rng, idle, high)
        return dsp.piecewise_linear(times, [(0, pace), (end, pace * rng.uniform(0.85, 1.15))]), np.full_like(
            times, rng.uniform(0, 1)
        )
    knots, at, load = [(0.0, idle)], rng.uniform(0, 0.3) * end, [(0.0, 0.1)]
    while at < end:  # for each gear, the speed rises under load and drops with the clutch
        span, top = rng.uniform(0.7, 2.5), dsp.log_uniform(rng, 1.3 * idle, high)
        knots += [(at, knots[-1][1]), (at + span, top), (at + span + 0.3, max(idle, top * rng.uniform(0.5, 0.8)))]
        load += [(at, 0.1), (at + 0.15, rng.uniform(0.5, 1)), (at + span, rng.uniform(0.5, 1)), (at + span + 0.15, 0.1)]
        at += span + rng.uniform(0.35, 1.5)
    return dsp.piecewise_linear(times, knots), dsp.piecewise_linear(times, load)


def _engine(rng: Generator, seconds: float, rate: int, build: Build) -> Wave:
    """Render an engine [sample] that stands, or passes by with the noise of its tyres."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    rpm, load = _drive(rng, build, times)
    rpm = rpm * (1 + 0.015 * dsp.slow_noise(rng, samples, rate, 0.7))
    if rng.random() < 0.5:
        return firing(rng, build, rpm, load, samples, rate)
    gain, doppler = dsp.pass_by(rng, samples, rate)
    sound = firing(rng, build, rpm * doppler, load, samples, rate)
    tyres = dsp.white(rng, samples)
    road = dsp.bandpass(rate, rng.uniform(250, 600), rng.uniform(900, 2200), 2)
    # Rolling noise is only audible nearby, hence the squared gain.
    sound += (
        dsp.upsample(gain, samples)
        * np.float32(rng.uniform(0.1, 1.2))
        * dsp.normalize_rms(dsp.filter_stft(tyres, road))
    )
    return sound * dsp.upsample(gain, samples)


def small_engine(rng: Generator, seconds: float, rate: int) -> Wave:
    """A moped, generator or leaf blower [sample]: one or two fast cylinders, thin and buzzing."""
    return _engine(rng, seconds, rate, SMALL)


def medium_engine(rng: Generator, seconds: float, rate: int) -> Wave:
    """A car or van [sample]: four or six cylinders, idling, pulling away or passing with its tyres."""
    return _engine(rng, seconds, rate, MEDIUM)


def large_engine(rng: Generator, seconds: float, rate: int) -> Wave:
    """A bus or lorry [sample]: a slow large diesel, sometimes with the hiss of its brakes."""
    samples = dsp.sample_count(seconds, rate)
    sound = dsp.normalize_rms(_engine(rng, seconds, rate, LARGE))
    if rng.random() < 0.3:
        times = dsp.frame_times(samples, rate)
        start, span = rng.uniform(0, times[-1]), rng.uniform(0.15, 0.9)
        puff = dsp.piecewise_linear(times, [(start, 0), (start + 0.03, 1), (start + span / 2, 0.5), (start + span, 0)])
        hiss = dsp.gain_curve(
            np.linspace(0, rate / 2, samples // 2 + 2), [(500, -30), (3000, 0), (9000, -3), (15000, -12)]
        )
        sound += (
            dsp.upsample(puff, samples)
            * np.float32(rng.uniform(0.3, 1.5))
            * dsp.normalize_rms(dsp.coloured(rng, hiss, samples))
        )
    return sound
