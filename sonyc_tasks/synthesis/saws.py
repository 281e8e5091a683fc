"""Powered saws (class 4): a motor that speeds up and slows under load, and the noise of a blade's teeth in the cut."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.engines import Build, firing
from sonyc_tasks.synthesis.signals import Array, Wave

TWO_STROKE = Build((1,), 1, (2600, 9500), (600, 2000), (300, 4000), (0.3, 1.0))


def _work(rng: Generator, times: Array, free: float, sag: float) -> tuple[Array, Array]:
    """Draw a few cuts.

    Args:
        rng: The sound's stream.
        times: In seconds, [frame].
        free: Relative speed between cuts: an idling chain saw turns slowly, a circular saw stops.
        sag: Share of the speed that a full bite costs.

    Returns:
        Curves [frame]: speed relative to full speed, and the bite of the blade from 0 to 1.
    """
    speed, bite, at = [(-9.0, free)], [(-9.0, 0.0)], float(rng.uniform(-1.5, 0.3))
    while at < times[-1]:
        rise, cut, fall = rng.uniform(0.15, 0.6), rng.uniform(0.6, 5.0), rng.uniform(0.3, 1.5)
        enter = at + rise + rng.uniform(0, 0.4)
        speed += [(at, free), (at + rise, 1.0), (enter, 1.0), (enter + 0.2, 1 - sag), (enter + cut, 1 - sag)]
        speed += [(enter + cut + 0.25, 1.0), (enter + cut + 0.25 + fall, free)]
        bite += [(enter, 0.0), (enter + 0.1, rng.uniform(0.6, 1)), (enter + cut, rng.uniform(0.5, 1))]
        bite += [(enter + cut + 0.1, 0.0)]
        at = enter + cut + 0.25 + fall + rng.uniform(0.05, 1.2)
    return dsp.piecewise_linear(times, speed), dsp.piecewise_linear(times, bite)


def _cutting(rng: Generator, teeth: Wave, bite: Array, low: float, high: float, rate: int) -> Wave:
    """Render the noise of the cut [sample]: chips in step with the ``teeth`` [sample], through a ringing blade."""
    samples = len(teeth)
    rough = bite * (1 + 0.25 * dsp.slow_noise(rng, samples, rate, 12.0)).clip(0.2, None)
    chips = dsp.white(rng, samples) * (0.5 + np.abs(teeth)) * dsp.upsample(rough, samples)
    peaks = 5
    centres = np.array([dsp.log_uniform(rng, low, high) for _ in range(peaks)])
    blade = dsp.resonances(rate, centres, centres * rng.uniform(0.02, 0.3, peaks), rng.uniform(0.3, 2.0, peaks))
    return dsp.filter_stft(chips, dsp.bandpass(rate, low, high, 1) + blade)


def chainsaw(rng: Generator, seconds: float, rate: int) -> Wave:
    """A chain saw [sample]: a harsh single-cylinder two-stroke that races, blips and slows in the cut."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    speed, bite = _work(rng, times, rng.uniform(0.28, 0.4), rng.uniform(0.1, 0.3))
    rpm = TWO_STROKE.rpm[1] * rng.uniform(0.75, 1.1) * speed * (1 + 0.02 * dsp.slow_noise(rng, samples, rate, 3.0))
    engine = firing(rng, TWO_STROKE, rpm, 0.3 + 0.7 * bite, samples, rate)
    cut = _cutting(rng, engine, bite, rng.uniform(800, 2000), rng.uniform(5000, 10000), rate)
    # A saw is much louder at full throttle than when it idles.
    return engine * dsp.upsample(speed**1.5, samples) + np.float32(rng.uniform(0.2, 0.7)) * cut


def rotating_saw(rng: Generator, seconds: float, rate: int) -> Wave:
    """A circular, table or mitre saw [sample]: whine of an electric motor, tone of the teeth, noise of cut wood."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    speed, bite = _work(rng, times, rng.uniform(0.0, 0.1), rng.uniform(0.05, 0.25))
    shaft = rng.uniform(45, 95) * speed * (1 + 0.008 * dsp.slow_noise(rng, samples, rate, 5.0))
    numbers = dsp.harmonic_numbers(rate, float(shaft.max()) + 1, 9000.0)
    whine = 0.05 / numbers**0.5
    for order in (rng.integers(6, 14), rng.integers(14, 40), rng.integers(24, 60)):  # gear, commutator bars, teeth
        near = np.arange(1, 5) * order
        near = near[near <= len(whine)]
        whine[near - 1] += rng.uniform(0.2, 1.0) / np.arange(1, len(near) + 1)
    motor = dsp.oscillate(rng, dsp.harmonics(rng, whine), shaft, samples, rate)
    motor = dsp.normalize_rms(motor * dsp.upsample(speed**2, samples))
    cut = _cutting(rng, motor, bite, rng.uniform(900, 2500), rng.uniform(6000, 12000), rate)
    air = dsp.filter_stft(
        dsp.white(rng, samples) * dsp.upsample(speed**3, samples), dsp.bandpass(rate, 600, rng.uniform(3000, 8000), 1)
    )
    return motor + np.float32(rng.uniform(0.1, 0.4)) * air + np.float32(rng.uniform(0.2, 1.0)) * cut


def large_saw(rng: Generator, seconds: float, rate: int) -> Wave:
    """A cut-off or pavement saw [sample]: a petrol engine and an abrasive blade that screams in stone or steel."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    speed, bite = _work(rng, times, rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.35))
    speed = speed * (1 + 0.01 * dsp.slow_noise(rng, samples, rate, 2.0))
    build = Build((1, 2, 4), int(rng.choice((1, 2))), (2400, 5500), (300, 1200), (100, 2500), (0.4, 1.2))
    engine = firing(rng, build, rng.uniform(3500, 5500) * speed, 0.2 + 0.8 * bite, samples, rate)
    segments = dsp.harmonic_numbers(rate, 1100.0, 12000.0)
    scream = dsp.oscillate(rng, dsp.harmonics(rng, 1 / segments), rng.uniform(450, 1100) * speed, samples, rate)
    cut = _cutting(rng, scream, bite, rng.uniform(700, 1800), rng.uniform(5000, 14000), rate)
    tone = scream * dsp.upsample(bite * rng.uniform(0.05, 0.5), samples)
    return engine * dsp.upsample(0.3 + 0.7 * speed, samples) + tone + np.float32(rng.uniform(0.5, 1.5)) * cut
