"""Impacts (classes 2 and 3): bodies struck once, or many times by a machine.

A blow is a short burst of noise with a low thump, and the body responds with its damped modes: few, low and dull ones
for wood and earth, many, high and long ones for metal. A machine repeats the blow with small differences, so several
variants of each blow are used in rotation, with jitter of time and force.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.engines import LARGE, MEDIUM, Build, firing
from sonyc_tasks.synthesis.signals import Array, Wave


@dataclass(frozen=True)
class Body:
    """A struck body, with ranges of its properties.

    Attributes:
        pitch: Frequency in Hz of the lowest mode.
        span: Ratio of the highest mode to the lowest.
        modes: Number of modes.
        decay: Seconds in which the lowest mode falls by 60 dB.
        damping: How much faster high modes decay, as a power.
        burst, thump: Amounts of noise burst and low thump.
    """

    pitch: tuple[float, float]
    span: float
    modes: tuple[int, int]
    decay: tuple[float, float]
    damping: float
    burst: tuple[float, float]
    thump: tuple[float, float]


METAL = Body((250, 1600), 12, (8, 22), (0.25, 1.8), 0.4, (0.05, 0.3), (0.0, 0.3))
SHEET = Body((60, 300), 30, (15, 30), (0.15, 0.8), 0.5, (0.1, 0.6), (0.2, 1.0))
WOOD = Body((120, 700), 10, (4, 9), (0.04, 0.18), 0.8, (0.2, 0.8), (0.3, 1.0))
DOOR = Body((45, 140), 20, (6, 14), (0.08, 0.3), 0.9, (0.3, 1.2), (0.8, 2.0))
STONE = Body((300, 1800), 8, (5, 12), (0.02, 0.08), 0.5, (0.5, 1.5), (0.2, 0.8))
PAVEMENT = Body((150, 900), 12, (6, 14), (0.03, 0.12), 0.5, (0.4, 1.2), (0.3, 1.2))


def blows(rng: Generator, body: Body, rate: int, variants: int = 1) -> list[Wave]:
    """Render ``variants`` blows on one body, each in a slightly different spot; waves [sample] of about unit peak."""
    count = int(rng.integers(*body.modes))
    pitch = dsp.log_uniform(rng, *body.pitch)
    pitches = pitch * np.sort(np.r_[1.0, body.span ** rng.random(count - 1)])
    pitches = pitches[pitches < 0.45 * rate]
    decays = dsp.log_uniform(rng, *body.decay) * (pitches / pitch) ** -body.damping
    seconds = min(1.2 * float(decays.max()) + 0.05, 2.5)
    samples = dsp.sample_count(seconds, rate)
    burst, thump = rng.uniform(*body.burst), rng.uniform(*body.thump)
    brightness, low = dsp.bandpass(rate, 100, dsp.log_uniform(rng, 1500, 9000), 1), dsp.log_uniform(rng, 45, 130)
    sounds = []
    for _ in range(variants):
        amplitudes = rng.uniform(0.2, 1.0, len(pitches)) * (pitches / pitch) ** -rng.uniform(0.1, 0.6)
        sound = dsp.damped_modes(rate, seconds, pitches, decays, amplitudes, np.zeros(len(pitches)))
        sound /= np.float32(np.abs(sound).max() + 1e-9)
        crack = dsp.white(rng, min(samples, 8 * dsp.HOP)) * dsp.ring_down(
            rate, rng.uniform(0.01, 0.05), min(samples, 8 * dsp.HOP)
        )
        sound[: len(crack)] += np.float32(burst) * dsp.filter_stft(crack, brightness)
        falling = np.array([low, 1.6 * low, 2.3 * low])
        boom = dsp.damped_modes(
            rate, min(seconds, 0.4), falling, np.full(3, 0.15), np.array([1, 0.5, 0.3]), np.zeros(3)
        )
        sound[: len(boom)] += np.float32(thump) * boom[: len(sound)]
        tail = min(len(sound), 2 * dsp.HOP)
        sound[-tail:] *= np.linspace(1, 0, tail, dtype=np.float32)
        sounds.append(sound)
    return sounds


def _hammering(
    rng: Generator, body: Body, rate: int, samples: int, hz: float, jitter: float, bursts: float
) -> tuple[Wave, Array]:
    """Render blows at ``hz`` with relative ``jitter`` of time and force, in runs of about ``bursts`` seconds.

    Returns:
        The blows [sample], unit rms, and the work from 0 to 1, a curve [frame] for the other parts of the machine.
    """
    end = samples / rate
    knots, at = [(0.0, 1.0)], 0.0
    while at < end:
        run, pause = rng.exponential(bursts) + max(0.6, 1.5 / hz), rng.exponential(0.25 * bursts) + 0.2
        knots += [(at + 0.03, 1.0), (at + run, 1.0), (at + run + 0.05, 0.0), (at + run + pause, 0.0)]
        at += run + pause
    work = dsp.piecewise_linear(dsp.frame_times(samples, rate), knots)
    count = int(end * hz) + 2
    gaps = (1 + jitter * rng.standard_normal(count)).clip(0.3, None) / hz
    onsets = (np.cumsum(gaps) - gaps[0] + rng.random() * min(gaps[0], 0.2 * end)) * rate
    force = rng.uniform(1 - 2 * jitter, 1.0, count).clip(0.2) * np.interp(onsets / dsp.HOP, np.arange(len(work)), work)
    sounds = blows(rng, body, rate, variants=4)
    return dsp.normalize_rms(dsp.place_events(onsets, force, sounds, samples)), work


def _air(rng: Generator, work: Array, samples: int, rate: int, low: float, high: float) -> Wave:
    """Render the hiss of compressed air [sample], unit rms, which follows the work."""
    return dsp.normalize_rms(
        dsp.filter_stft(dsp.white(rng, samples), dsp.bandpass(rate, low, high, 1) * (0.05 + work[:, None]))
    )


def _running(rng: Generator, build: Build, samples: int, rate: int) -> Wave:
    """Render the engine [sample] of the carrier or compressor at a steady speed under load."""
    rpm = np.full_like(dsp.frame_times(samples, rate), rng.uniform(900, 1900))
    return firing(rng, build, rpm * (1 + 0.01 * dsp.slow_noise(rng, samples, rate, 1.0)), 0.5 + 0 * rpm, samples, rate)


def rock_drill(rng: Generator, seconds: float, rate: int) -> Wave:
    """A rock drill [sample]: 30 to 60 blows a second that merge into a rattle, strong exhaust of air, ringing steel."""
    samples = dsp.sample_count(seconds, rate)
    hits, work = _hammering(rng, METAL, rate, samples, rng.uniform(30, 60), 0.05, 5.0)
    return hits + np.float32(rng.uniform(0.4, 1.2)) * _air(rng, work, samples, rate, 400, rng.uniform(4000, 9000))


def jackhammer(rng: Generator, seconds: float, rate: int) -> Wave:
    """A hand-held breaker [sample]: 14 to 28 blows a second on pavement in runs of a few seconds, with pulsing air."""
    samples = dsp.sample_count(seconds, rate)
    body = PAVEMENT if rng.random() < 0.6 else STONE
    hits, work = _hammering(rng, body, rate, samples, rng.uniform(14, 28), 0.04, 3.0)
    return hits + np.float32(rng.uniform(0.1, 0.6)) * _air(rng, work, samples, rate, 500, rng.uniform(3000, 7000))


def hoe_ram(rng: Generator, seconds: float, rate: int) -> Wave:
    """A breaker on an excavator [sample]: 4 to 12 heavy blows a second, a ringing chisel, the carrier's diesel."""
    samples = dsp.sample_count(seconds, rate)
    body = METAL if rng.random() < 0.5 else SHEET
    hits, _ = _hammering(rng, body, rate, samples, rng.uniform(4, 12), 0.05, 4.0)
    return hits + np.float32(rng.uniform(0.1, 0.5)) * _running(rng, LARGE, samples, rate)


def pile_driver(rng: Generator, seconds: float, rate: int) -> Wave:
    """A pile driver [sample]: about once a second a falling weight hits a long steel pile."""
    samples = dsp.sample_count(seconds, rate)
    hits, _ = _hammering(rng, SHEET if rng.random() < 0.6 else METAL, rate, samples, rng.uniform(0.7, 1.9), 0.03, 30.0)
    return hits + np.float32(rng.uniform(0.05, 0.3)) * _running(rng, MEDIUM, samples, rate)


def single_impacts(rng: Generator, seconds: float, rate: int) -> Wave:
    """Bangs, knocks and clanks [sample]: a few irregular blows on one or two bodies, sometimes with a bounce.

    Such as dropped loads, doors, scaffold poles, a manhole cover under wheels, a rolling shutter.
    """
    samples = dsp.sample_count(seconds, rate)
    wave = np.zeros(samples, dtype=np.float32)
    for body in rng.choice(
        np.array([METAL, SHEET, WOOD, DOOR, STONE], dtype=object), rng.integers(1, 3), replace=False
    ):
        sounds = blows(rng, body, rate, variants=3)
        count = 1 + rng.poisson(0.8 * seconds)
        onsets = np.sort(rng.random(count)) * 0.9 * samples
        onsets[0] = min(onsets[0], 0.05 * rate)
        force = 10 ** (-rng.exponential(0.35, count))
        if rng.random() < 0.3:  # a bounce: shorter and shorter gaps, weaker and weaker blows
            gap, loss, bounces = rng.uniform(0.12, 0.45), rng.uniform(0.6, 0.85), np.arange(1, 12)
            onsets = np.r_[onsets, onsets[0] + rate * gap * np.cumsum(loss**bounces)]
            force = np.r_[force, force[0] * loss ** (1.5 * bounces)]
        wave += dsp.place_events(onsets, force, sounds, samples)
    if rng.random() < 0.15:  # dragged rather than dropped: a scrape
        scrape = dsp.filter_stft(dsp.white(rng, samples), dsp.bandpass(rate, 700, dsp.log_uniform(rng, 2000, 8000), 1))
        at = dsp.piecewise_linear(
            dsp.frame_times(samples, rate), [(0, 0), (0.2 * seconds, 1), (0.5 * seconds, 0.6), (0.8 * seconds, 0)]
        )
        wave += (
            scrape
            * dsp.upsample(at * (1 + 0.6 * dsp.slow_noise(rng, samples, rate, 25.0)).clip(0, None), samples)
            * 0.15
        )
    return wave
