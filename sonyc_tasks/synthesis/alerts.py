"""Alert signals (class 5): few oscillators, strict patterns, small loud speakers.

All of them are a period (rich in harmonics, as horns and overdriven speakers are not linear), a pitch curve and an
on/off pattern, through the resonances of a horn or piezo speaker.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Array, Wave


def _speaker(rng: Generator, wave: Wave, rate: int, low: float, high: float) -> Wave:
    """Filter ``wave`` by a small horn speaker: a band of ``low`` to ``high`` Hz with a few peaks. [sample]"""
    peaks = 4
    centres = np.array([dsp.log_uniform(rng, low, high) for _ in range(peaks)])
    bumps = dsp.resonances(rate, centres, centres * rng.uniform(0.1, 0.5, peaks), rng.uniform(0.2, 1.5, peaks))
    return dsp.filter_stft(wave, dsp.bandpass(rate, low, high, 2) * (0.5 + bumps))


def _gates(times: Array, on: list[tuple[float, float]], edge: float = 0.012) -> Array:
    """Return a curve [frame]: 1 within the (start, stop) seconds of ``on``, else 0, with ramps of ``edge`` s."""
    gate = np.zeros_like(times)
    for start, stop in on:
        gate = np.maximum(gate, np.clip(np.minimum(times - start, stop - times) / edge + 0.5, 0, 1))
    return gate


def _timbre(rng: Generator, pitch: float, rate: int, fall: float) -> Wave:
    """Draw a period whose harmonics of ``pitch`` Hz fall as a power ``fall``; even ones are sometimes weak."""
    numbers = dsp.harmonic_numbers(rate, pitch, 14_000.0)
    strength = numbers**-fall * rng.uniform(0.5, 1.5, len(numbers))
    strength[1::2] *= rng.choice((1.0, 0.2))
    return dsp.harmonics(rng, strength)


def car_horn(rng: Generator, seconds: float, rate: int) -> Wave:
    """A car, lorry or moped horn [sample]: one to three diaphragms, usually a third apart; taps or a long press."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    kind = rng.choice(3, p=[0.7, 0.15, 0.15])
    root = (rng.uniform(330, 480), rng.uniform(150, 280), rng.uniform(420, 900))[kind]
    chord = ([1.0, rng.uniform(1.18, 1.28)], [1.0, rng.uniform(1.15, 1.3), rng.uniform(1.4, 1.6)], [1.0])[kind]
    presses, at = [], rng.uniform(0, 0.1) * seconds
    while at < seconds:
        press = dsp.log_uniform(rng, 0.08, 0.4) if rng.random() < 0.6 else rng.uniform(0.4, 3.0)
        presses.append((at, min(at + press, seconds)))
        at += press + rng.uniform(0.08, 0.8)
    gate = _gates(times, presses, 0.02)
    sag = (
        1 - 0.02 * (1 - gate) + 0.002 * dsp.slow_noise(rng, samples, rate, 8.0)
    )  # the diaphragm needs a moment to settle
    voices = [dsp.oscillate(rng, _timbre(rng, root * r, rate, 0.6), root * r * sag, samples, rate) for r in chord]
    sound = np.sum(voices, axis=0, dtype=np.float32) * dsp.upsample(gate, samples)
    return _speaker(rng, sound, rate, rng.uniform(300, 600), rng.uniform(2500, 6000))


def _sweep(shape: str, phase: Array) -> Array:
    """Return one period, from 0 to 1, of an alarm's pitch pattern at ``phase`` (in turns), a curve [frame]."""
    turn = phase % 1.0
    if shape == "rise":
        return turn
    if shape == "fall":
        return 1 - turn
    if shape == "two-tone":
        return (turn < 0.5).astype(float)
    if shape == "wail":  # a motor siren or its imitation: fast up, slower down
        return np.where(turn < 0.4, np.sin(np.pi * turn / 0.8), np.cos(np.pi * (turn - 0.4) / 1.2) ** 1.3)
    return 0.5 - 0.5 * np.cos(2 * np.pi * turn)


def car_alarm(rng: Generator, seconds: float, rate: int) -> Wave:
    """A car alarm [sample]: patterns (chirps, two tones, yelps, pulses) for a second or two each, or the car's horn."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    if rng.random() < 0.25:
        beat, duty = rng.uniform(0.6, 1.2), rng.uniform(0.4, 0.6)
        steady = dsp.upsample((0.5 + 0.5 * np.sign(duty - (times / beat) % 1.0)), samples)
        root = rng.uniform(330, 480)
        pair = [dsp.oscillate(rng, _timbre(rng, r, rate, 0.6), r, samples, rate) for r in (root, root * 1.22)]
        return _speaker(rng, (pair[0] + pair[1]) * steady, rate, 400, 4000)
    low, high = rng.uniform(500, 1000), rng.uniform(1500, 3200)
    pitch, gate, at = np.full_like(times, low), np.ones_like(times), 0.0
    shapes = rng.permutation(["rise", "fall", "two-tone", "yelp", "pulse"])
    part, number = rng.uniform(0.9, 2.5), 0
    while at < times[-1]:
        shape, speed = str(shapes[number % len(shapes)]), dsp.log_uniform(rng, 1.2, 9.0)
        inside = (times >= at) & (times < at + part)
        turns = (times[inside] - at) * speed
        pitch[inside] = low * (high / low) ** (0.8 if shape == "pulse" else _sweep(shape, turns))
        gate[inside] = turns % 1.0 < 0.55 if shape == "pulse" else 1.0
        at, number = at + part, number + 1
    tone = dsp.oscillate(rng, _timbre(rng, high, rate, 0.9), pitch, samples, rate) * dsp.upsample(gate, samples)
    return _speaker(rng, tone, rate, rng.uniform(600, 1200), rng.uniform(4000, 7000))


def siren(rng: Generator, seconds: float, rate: int) -> Wave:
    """A siren [sample]: wail, yelp, hi-lo or piercer, often on a moving car (Doppler), sometimes with an air horn."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    low, high = rng.uniform(350, 700), rng.uniform(1100, 1700)
    height, at = np.zeros_like(times), 0.0
    phase = rng.random()
    while at < times[-1]:
        shape = str(rng.choice(["wail", "yelp", "two-tone", "piercer"], p=[0.45, 0.3, 0.15, 0.1]))
        speed = {"wail": rng.uniform(0.12, 0.4), "yelp": rng.uniform(2.5, 4.5), "two-tone": rng.uniform(0.7, 1.6)}
        part = rng.uniform(3.0, 12.0)
        inside = (times >= at) & (times < at + part)
        height[inside] = _sweep(shape, (times[inside] - at) * speed.get(shape, rng.uniform(8, 16)) + phase)
        at += part
    gain, doppler = dsp.pass_by(rng, samples, rate) if rng.random() < 0.7 else (np.ones_like(times),) * 2
    pitch = low * (high / low) ** height * doppler
    sound = dsp.oscillate(rng, _timbre(rng, high, rate, rng.uniform(0.7, 1.4)), pitch, samples, rate)
    if rng.random() < 0.2:
        start = rng.uniform(0, 0.8) * seconds
        blast = dsp.upsample(_gates(times, [(start, start + rng.uniform(0.2, 1.2))], 0.03), samples)
        sound += 1.5 * blast * dsp.oscillate(rng, _timbre(rng, 200, rate, 0.5), rng.uniform(180, 280), samples, rate)
    return _speaker(rng, sound * dsp.upsample(gain, samples), rate, rng.uniform(500, 900), rng.uniform(2500, 5000))


def reverse_beeper(rng: Generator, seconds: float, rate: int) -> Wave:
    """The warning of a reversing lorry [sample]: steady beeps near 1.2 kHz, one per second, or bursts of noise."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    cycle, duty = rng.uniform(0.7, 1.3), rng.uniform(0.4, 0.6)
    first = rng.uniform(0, 0.2) * min(cycle, seconds)
    starts = np.arange(first, seconds, cycle)
    gate = dsp.upsample(_gates(times, [(s, s + duty * cycle) for s in starts], 0.015), samples)
    if rng.random() < 0.15:
        return dsp.filter_stft(
            dsp.white(rng, samples) * gate, dsp.bandpass(rate, rng.uniform(500, 1000), rng.uniform(3000, 7000), 2)
        )
    pitch = dsp.log_uniform(rng, 950, 1500) if rng.random() < 0.85 else dsp.log_uniform(rng, 2000, 3000)
    drift = pitch * (1 + 0.001 * dsp.slow_noise(rng, samples, rate, 1.0))
    tone = dsp.oscillate(rng, _timbre(rng, pitch, rate, rng.uniform(1.2, 2.2)), drift, samples, rate)
    return dsp.normalize_rms(tone * gate) if rng.random() < 0.5 else _speaker(rng, tone * gate, rate, 700, 5000)
