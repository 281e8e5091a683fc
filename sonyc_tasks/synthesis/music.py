"""Music (class 6): small invented pieces (a scale, a chord sequence, a groove) on a few synthetic instruments.

A piece is one pattern of four bars, rendered once and repeated. The tags differ in how it reaches the street: from a
loudspeaker that stays, a car that passes with open windows, or the horn speaker of an ice-cream van.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Array, Wave

Instrument = Callable[[float, float, int], Wave]

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 6, 7, 10, 12))


def _plucked(rng: Generator) -> Instrument:
    """Draw a string, bell or key: partials (slightly inharmonic, as in stiff strings) with a decay each."""
    stiffness, fall, count = 10 ** rng.uniform(-5, -3), rng.uniform(0.7, 1.8), int(rng.integers(5, 16))
    decay, damping = dsp.log_uniform(rng, 0.4, 3.0), rng.uniform(0.2, 0.8)
    ratios = np.arange(1, count + 1) if rng.random() < 0.7 else np.array([1, 2.76, 5.4, 8.9])[:count]

    def play(pitch: float, seconds: float, rate: int) -> Wave:
        tones = pitch * ratios * np.sqrt(1 + stiffness * ratios**2)
        tones = tones[tones < 0.45 * rate]
        order = np.arange(1, len(tones) + 1)
        return dsp.damped_modes(rate, seconds, tones, decay * order**-damping, order**-fall, np.zeros(len(tones)))

    return play


def _held(rng: Generator) -> Instrument:
    """Draw an organ, bowed string, wind or synthesiser: a steady period with vibrato, attack and release."""
    fall, attack, hollow = rng.uniform(0.6, 1.8), rng.uniform(0.01, 0.08), rng.choice((1.0, 0.15))
    vibrato, speed = rng.uniform(0, 0.008), rng.uniform(4.5, 6.5)
    timbre = np.random.default_rng(rng.integers(2**63))

    def play(pitch: float, seconds: float, rate: int) -> Wave:
        samples = dsp.sample_count(seconds, rate)
        numbers = dsp.harmonic_numbers(rate, pitch * 1.02, 12_000.0)
        strength = np.where(numbers % 2 == 0, hollow, 1.0) * numbers**-fall
        turns = np.arange(dsp.frame_count(samples)) * (dsp.HOP / rate) * speed
        tone = dsp.oscillate(
            timbre, dsp.harmonics(timbre, strength), pitch * (1 + vibrato * np.sin(6.28 * turns)), samples, rate
        )
        edge = np.arange(samples, dtype=np.float32) / np.float32(rate)
        return tone * np.clip(np.minimum(edge / attack, (seconds - edge) / 0.04), 0, 1).astype(np.float32)

    return play


def _drums(rng: Generator, rate: int) -> list[Wave]:
    """Draw kick (low tone), snare (noise and short tone) and hat (high noise), waves [sample] of about unit peak."""
    one = np.ones(1)
    kick = dsp.damped_modes(
        rate, 0.3, np.array([1, 2.1]) * rng.uniform(42, 65), np.array([0.4, 0.1]), np.ones(2), np.zeros(2)
    )
    rattle = dsp.white(rng, dsp.sample_count(0.22, rate)) * dsp.ring_down(rate, 0.2, dsp.sample_count(0.22, rate))
    skin = dsp.damped_modes(rate, 0.22, one * rng.uniform(150, 260), one * 0.15, one, 0 * one)
    hiss = dsp.white(rng, dsp.sample_count(0.1, rate)) * dsp.ring_down(
        rate, rng.uniform(0.03, 0.12), dsp.sample_count(0.1, rate)
    )
    snare = 0.5 * skin + 0.5 * dsp.filter_stft(rattle, dsp.bandpass(rate, 400, 6000, 1))
    return [kick, snare, 0.4 * dsp.filter_stft(hiss, dsp.bandpass(rate, 5000, 12000, 2))]


def _notes(
    rng: Generator, play: Instrument, onsets: Array, pitches: Array, hold: float, samples: int, rate: int
) -> Wave:
    """Render one part [sample], unit rms: ``pitches`` Hz [note] at ``onsets`` s [note], each held for ``hold`` s.

    Each pitch is rendered only once.
    """
    sounds = {pitch: play(pitch, hold, rate) for pitch in dict.fromkeys(pitches.tolist())}
    force = rng.uniform(0.6, 1.0, len(onsets))
    return dsp.normalize_rms(
        dsp.place_events(onsets * rate, force, [sounds[pitch] for pitch in pitches.tolist()], samples)
    )


def _melody(rng: Generator, count: int) -> Array:
    """Draw the scale degrees [note] of a tune: mostly steps, some leaps, kept near the middle, ending on the tonic."""
    degrees = [int(rng.choice((0, 2, 4)))]
    for _ in range(count - 1):
        step = int(rng.choice((-3, -2, -1, 0, 1, 2, 3), p=(0.06, 0.12, 0.26, 0.12, 0.26, 0.12, 0.06)))
        degrees.append(degrees[-1] + (step if abs(degrees[-1] + step - 3) < 7 else -step))
    degrees[-1] = 7 * round(degrees[-1] / 7)
    return np.array(degrees)


def _piece(rng: Generator, samples: int, rate: int) -> Wave:
    """Draw a piece [sample]: bass, chords, tune and drums over a repeated sequence of four chords."""
    scale, root = np.array(_SCALES[rng.integers(len(_SCALES))]), 55.0 * 2 ** rng.uniform(-0.4, 0.6)
    beat = 60 / rng.uniform(70, 150)
    loop = dsp.sample_count(16 * beat, rate)
    chords = np.r_[0, rng.integers(0, 7, 3)]

    def hertz(degrees: Array, octave: int) -> Array:
        octaves, steps = np.divmod(degrees, len(scale))
        return root * 2.0 ** (octave + octaves + scale[steps] / 12)

    beats = np.arange(16)
    parts = []
    if rng.random() < 0.8:  # bass: the root of the chord, on and between the beats
        onsets = np.sort(np.r_[beats, rng.choice(beats, 5, replace=False) + 0.5])
        degrees = chords[(onsets // 4).astype(int)]
        bass = _held(rng) if rng.random() < 0.5 else _plucked(rng)
        line = _notes(rng, bass, onsets * beat, hertz(degrees, 0), 0.9 * beat, loop, rate)
        parts.append(rng.uniform(0.6, 1.6) * line)
    if rng.random() < 0.8:  # chords: three notes at once, held or struck
        onsets = np.sort(rng.choice(np.arange(0, 16, 0.5), int(rng.choice((4, 8, 12))), replace=False))
        triads = chords[(onsets // 4).astype(int)][:, None] + np.array([0, 2, 4])
        keys, hold = _held(rng) if rng.random() < 0.5 else _plucked(rng), rng.uniform(0.5, 1.5) * beat
        every = np.repeat(onsets, 3) * beat
        parts.append(rng.uniform(0.4, 1.0) * _notes(rng, keys, every, hertz(triads.ravel(), 2), hold, loop, rate))
    if rng.random() < 0.7 or not parts:  # tune
        onsets = np.sort(rng.choice(np.arange(0, 16, 0.5), int(rng.integers(8, 22)), replace=False))
        lead = _held(rng) if rng.random() < 0.6 else _plucked(rng)
        tune = hertz(_melody(rng, len(onsets)), 3)
        parts.append(rng.uniform(0.4, 1.2) * _notes(rng, lead, onsets * beat, tune, 0.7 * beat, loop, rate))
    if rng.random() < 0.75:  # drums: a back beat with a few extra hits
        grid = np.arange(0, 16, 0.5)
        kit = _drums(rng, rate)
        chance = (np.where(grid % 2 == 0, 0.95, 0.15), np.where(grid % 2 == 1, 0.95, 0.05), np.full(len(grid), 0.8))
        drums = np.zeros(loop, dtype=np.float32)
        for sound, likely in zip(kit, chance, strict=True):
            hits = grid[rng.random(len(grid)) < likely] * beat * rate
            drums += dsp.place_events(hits, rng.uniform(0.6, 1.0, len(hits)), [sound], loop)
        parts.append(rng.uniform(0.5, 1.8) * dsp.normalize_rms(drums))
    start = int(rng.integers(loop))  # the piece is already playing
    whole = np.zeros(samples, dtype=np.float32)
    for part in parts:
        whole += np.resize(np.roll(part, -start), samples)
    return dsp.normalize_rms(whole)


def _box(rng: Generator, wave: Wave, rate: int, low: float, high: float) -> Wave:
    """Filter ``wave`` by a slightly overdriven loudspeaker with a range of ``low`` to ``high`` Hz."""
    peaks = 5
    centres = np.array([dsp.log_uniform(rng, low, high) for _ in range(peaks)])
    bumps = dsp.resonances(rate, centres, 0.4 * centres, rng.uniform(0.0, 0.8, peaks))
    return dsp.filter_stft(np.tanh(rng.uniform(0.2, 1.2) * wave), dsp.bandpass(rate, low, high, 2) * (0.6 + bumps))


def stationary_music(rng: Generator, seconds: float, rate: int) -> Wave:
    """Music from a shop, a portable player or a party [sample]; full-range or from a small speaker."""
    wave = _piece(rng, dsp.sample_count(seconds, rate), rate)
    return _box(rng, wave, rate, dsp.log_uniform(rng, 40, 350), dsp.log_uniform(rng, 3000, 14000))


def mobile_music(rng: Generator, seconds: float, rate: int) -> Wave:
    """Music from a passing car or bicycle [sample]: heavy bass, muffled by the body of the car, with Doppler."""
    samples = dsp.sample_count(seconds, rate)
    gain, doppler = dsp.pass_by(rng, samples, rate)
    wave = _box(rng, _piece(rng, samples, rate), rate, dsp.log_uniform(rng, 35, 80), dsp.log_uniform(rng, 500, 5000))
    wave = dsp.normalize_rms(wave) + np.float32(rng.uniform(0.3, 1.5)) * dsp.normalize_rms(
        dsp.filter_stft(wave, dsp.bandpass(rate, 40, 120, 3))
    )
    # Doppler of finished sound: read it at the speed at which it arrives, slowed down if it would run out.
    at = np.cumsum(dsp.upsample(doppler, samples).astype(np.float64))
    at *= (samples - 2) / max(at[-1], samples - 2)
    index = np.minimum(at.astype(np.int64), samples - 2)
    between = (at - index).astype(np.float32)
    return ((1 - between) * wave[index] + between * wave[index + 1]) * dsp.upsample(gain, samples)


def ice_cream_truck(rng: Generator, seconds: float, rate: int) -> Wave:
    """The chime of an ice-cream van [sample]: a looped one-voice tune in major from a horn speaker, perhaps moving."""
    samples = dsp.sample_count(seconds, rate)
    beat, root = rng.uniform(0.22, 0.42), rng.uniform(500, 900)
    lengths = rng.choice((0.5, 1.0, 1.0, 1.5, 2.0), 24)
    onsets = np.cumsum(lengths) * beat - lengths[0] * beat
    octaves, steps = np.divmod(_melody(rng, len(onsets)), 7)
    pitches = root * 2.0 ** (octaves + np.array(_SCALES[0])[steps] / 12)
    bells = _plucked(rng) if rng.random() < 0.75 else _held(rng)
    loop = min(samples, dsp.sample_count(lengths.sum() * beat, rate))
    tune = np.resize(_notes(rng, bells, onsets, pitches, rng.uniform(0.4, 1.2), loop, rate), samples)
    gain = dsp.pass_by(rng, samples, rate)[0] if rng.random() < 0.4 else np.ones(dsp.frame_count(samples))
    wobble = 1 + 0.15 * dsp.slow_noise(rng, samples, rate, 2.0)
    return _box(rng, tune, rate, rng.uniform(350, 700), rng.uniform(3000, 6000)) * dsp.upsample(gain * wobble, samples)
