"""Engines (class 1): pulses of a firing order through an exhaust, with load, and standing, pulling away or passing.

A combustion engine repeats with its cycle (two turns of the crank for a four-stroke). Within a cycle every cylinder
fires once, so the harmonics of the firing rate stand out; unequal cylinders leak into the harmonics between them,
which is what makes an engine rumble instead of whistle. The exhaust and body add fixed resonances and the load adds
noise and brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from .signals import (
    Array,
    Wave,
    band,
    below,
    coloured,
    contour,
    follow,
    frame_times,
    harmonics,
    log_uniform,
    oscillate,
    pass_by,
    resonances,
    sample_count,
    sculpt,
    stretch,
    unit,
    wander,
    white,
)


@dataclass(frozen=True)
class Build:
    """What makes one size of engine: cylinders, turns of the crank per cycle, its range of rpm, the Hz above which
    its pulses lose strength, the span of Hz of its exhaust resonances and the share of noise in it."""

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
    """The engine itself, [sample], unit rms, for curves [frame] of speed in rpm and of ``load`` from 0 to 1."""
    cylinders = int(rng.choice(build.cylinders))
    cycle = np.maximum(rpm, 60.0) / (60.0 * build.turns)
    numbers = below(rate, float(cycle.max()), 6000.0)
    pitch = numbers * float(cycle.mean())
    strength = 1 / (1 + (pitch / log_uniform(rng, *build.knee)) ** rng.uniform(1.0, 1.6))
    between = rng.uniform(0.08, 0.5)
    strength *= np.where(numbers % cylinders == 0, 1.0, between * rng.random(len(numbers)))
    # No two firings are alike: a little jitter of the speed widens the upper harmonics into noise.
    cycle = cycle * (1 + rng.uniform(0.003, 0.02) * wander(rng, samples, rate, rng.uniform(6, 20)))
    pulses = oscillate(rng, harmonics(rng, strength), cycle, samples, rate)
    hiss = white(rng, samples) * (0.3 + np.abs(pulses)) * np.float32(rng.uniform(*build.noise) / 3)
    peaks = 7
    centres = np.sort([log_uniform(rng, *build.exhaust) for _ in range(peaks)])
    exhaust = resonances(rate, centres, centres * rng.uniform(0.15, 0.6, peaks), rng.uniform(0.3, 1.5, peaks))
    body = exhaust + 0.15 * band(rate, 25, rng.uniform(300, 1200), 1)
    bright = band(rate, rng.uniform(400, 900), rng.uniform(2000, 6000), 1) * rng.uniform(0.2, 0.7)
    return unit(sculpt(pulses + hiss, body + load[:, None].astype(np.float32) * bright))


def _drive(rng: Generator, build: Build, times: Array) -> tuple[Array, Array]:
    """Speed in rpm and load, curves [frame], of one of three ways of running: idling, pulling away, cruising."""
    low, high = build.rpm
    idle = low * rng.uniform(1.0, 1.35)
    end = times[-1]
    way = rng.choice(["idle", "pull", "cruise"], p=[0.4, 0.3, 0.3])
    if way == "idle":
        return np.full_like(times, idle), np.full_like(times, rng.uniform(0, 0.25))
    if way == "cruise":
        pace = log_uniform(rng, idle, high)
        return follow(times, [(0, pace), (end, pace * rng.uniform(0.85, 1.15))]), np.full_like(times, rng.uniform(0, 1))
    knots, at, load = [(0.0, idle)], rng.uniform(0, 0.3) * end, [(0.0, 0.1)]
    while at < end:  # gear after gear: the speed climbs under load and drops with the clutch
        span, top = rng.uniform(0.7, 2.5), log_uniform(rng, 1.3 * idle, high)
        knots += [(at, knots[-1][1]), (at + span, top), (at + span + 0.3, max(idle, top * rng.uniform(0.5, 0.8)))]
        load += [(at, 0.1), (at + 0.15, rng.uniform(0.5, 1)), (at + span, rng.uniform(0.5, 1)), (at + span + 0.15, 0.1)]
        at += span + rng.uniform(0.35, 1.5)
    return follow(times, knots), follow(times, load)


def _engine(rng: Generator, seconds: float, rate: int, build: Build) -> Wave:
    samples = sample_count(seconds, rate)
    times = frame_times(samples, rate)
    rpm, load = _drive(rng, build, times)
    rpm = rpm * (1 + 0.015 * wander(rng, samples, rate, 0.7))
    if rng.random() < 0.5:
        return firing(rng, build, rpm, load, samples, rate)
    gain, doppler = pass_by(rng, samples, rate)
    sound = firing(rng, build, rpm * doppler, load, samples, rate)
    tyres = white(rng, samples)
    road = band(rate, rng.uniform(250, 600), rng.uniform(900, 2200), 2)
    # Rolling noise reaches the microphone only from near: hence the square.
    sound += stretch(gain, samples) * np.float32(rng.uniform(0.1, 1.2)) * unit(sculpt(tyres, road))
    return sound * stretch(gain, samples)


def small_engine(rng: Generator, seconds: float, rate: int) -> Wave:
    """A moped, generator or leaf blower: one or two cylinders that turn fast, thin and buzzing. [sample]"""
    return _engine(rng, seconds, rate, SMALL)


def medium_engine(rng: Generator, seconds: float, rate: int) -> Wave:
    """A car or van: four or six cylinders, idling, pulling away or passing with its tyres. [sample]"""
    return _engine(rng, seconds, rate, MEDIUM)


def large_engine(rng: Generator, seconds: float, rate: int) -> Wave:
    """A bus or lorry: a slow large diesel, at times with the clatter of its injection and the hiss of its brakes."""
    samples = sample_count(seconds, rate)
    sound = unit(_engine(rng, seconds, rate, LARGE))
    if rng.random() < 0.3:
        times = frame_times(samples, rate)
        start, span = rng.uniform(0, times[-1]), rng.uniform(0.15, 0.9)
        puff = follow(times, [(start, 0), (start + 0.03, 1), (start + span / 2, 0.5), (start + span, 0)])
        hiss = contour(np.linspace(0, rate / 2, samples // 2 + 2), [(500, -30), (3000, 0), (9000, -3), (15000, -12)])
        sound += stretch(puff, samples) * np.float32(rng.uniform(0.3, 1.5)) * unit(coloured(rng, hiss, samples))
    return sound
