"""Voices, human (class 7) and canine (class 8): a buzzing larynx, turbulent breath, and a vocal tract with formants.

This is source-filter synthesis (Fant 1960). Speech is drawn syllable by syllable as curves: pitch, loudness of voice
and of breath, and formants that glide between targets. One time-varying filter then shapes buzz and breath.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Array, Wave

# First three formants in Hz of a mid-sized vocal tract, spread over the corners and edges of the vowel space.
_VOWELS = np.array(
    [
        (280, 2250, 2900), (400, 2000, 2600), (550, 1800, 2500), (700, 1650, 2450), (750, 1150, 2500),
        (580, 880, 2450), (430, 820, 2400), (310, 870, 2300), (500, 1450, 2450), (450, 1250, 1700),
    ],
    dtype=float,
)  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How someone speaks.

    Attributes:
        lift: Median pitch relative to calm speech.
        swing: Range of the pitch in octaves.
        pace: Syllables per second.
        phrase, pause: Mean length of a phrase and of the pause after it, in seconds.
        slope: Of the buzz, in dB per octave.
        breath: Amount of breath.
    """

    lift: float
    swing: float
    pace: float
    phrase: float
    pause: float
    slope: float
    breath: float


@dataclass(frozen=True)
class Gesture:
    """The motion of a throat, as curves [frame].

    Attributes:
        pitch: In Hz.
        voice, breath: Their strengths.
        formants: In Hz, [frame, formant].
        hiss: Centre frequency of the breath in Hz.
    """

    pitch: Array
    voice: Array
    breath: Array
    formants: Array
    hiss: Array


TALK = Manner(1.0, 0.25, 4.8, 1.8, 0.5, -11.0, 0.15)
SHOUT = Manner(1.9, 0.35, 2.8, 0.9, 0.6, -6.5, 0.1)
CHEER = Manner(2.2, 0.4, 1.2, 1.6, 0.7, -6.0, 0.2)


def speaker(rng: Generator, manner: Manner, samples: int, rate: int) -> Wave:
    """Draw one person speaking [sample]; the size of tract and larynx makes an adult or a child, a man or a woman."""
    size = rng.uniform(0.85, 1.3)  # above 1: a shorter tract, higher formants
    pitch = 105 * (size / 0.85) ** 1.7 * rng.uniform(0.85, 1.2) * manner.lift
    times = dsp.frame_times(samples, rate)
    voice, breath, tone, hiss, vowel = [(-9.0, 0.0)], [(-9.0, 0.0)], [(-9.0, 0.0)], [(-9.0, 4e3)], [(-9.0, _VOWELS[8])]
    at = -0.3 * rng.random()  # the person is already talking
    while at < times[-1]:
        stop, height = at + manner.phrase * rng.gamma(3, 1 / 3), rng.uniform(0, 0.5)
        while at < stop:
            span = rng.gamma(6, 1 / 6) / manner.pace
            onset = rng.uniform(0.15, 0.45) * span
            stress = rng.uniform(0.35, 1.0)
            if rng.random() < 0.55:  # an unvoiced consonant: voice stops, breath bursts
                voice += [(at, 0.0), (at + onset, 0.0)]
                breath += [(at, 0.0), (at + 0.3 * onset, rng.uniform(0.2, 1.0)), (at + onset, 0.05)]
                hiss.append((at + 0.3 * onset, dsp.log_uniform(rng, 1500, 7500) * size))
            else:  # a voiced consonant: the mouth nearly closes
                voice += [(at, rng.uniform(0.05, 0.3))]
            full = at + onset + min(0.025, 0.2 * span)
            voice += [(full, stress), (at + 0.8 * span, 0.7 * stress), (at + span, 0.1 * stress)]
            tone.append((at + onset, manner.swing * (height + rng.normal(0, 0.35))))
            vowel.append((at + onset, _VOWELS[rng.integers(len(_VOWELS))]))
            at, height = at + span, height - 0.12
        voice.append((at + 0.03, 0.0))
        at += rng.exponential(manner.pause) + 0.08
    curve = pitch * 2 ** (dsp.piecewise_linear(times, tone) + 0.012 * dsp.slow_noise(rng, samples, rate, 18.0))
    formants = np.stack([dsp.piecewise_linear(times, [(t, v[k]) for t, v in vowel]) for k in range(3)], axis=-1) * size
    gesture = Gesture(
        curve,
        dsp.piecewise_linear(times, voice),
        dsp.piecewise_linear(times, breath),
        formants,
        dsp.piecewise_linear(times, hiss),
    )
    return utter(rng, gesture, manner.slope, manner.breath, samples, rate)


def utter(rng: Generator, gesture: Gesture, slope: float, air: float, samples: int, rate: int) -> Wave:
    """Render larynx and tract [sample]: a buzz of ``slope`` dB per octave with an amount of ``air``."""
    numbers = dsp.harmonic_numbers(rate, float(gesture.pitch.max()), 9000.0)
    buzz = dsp.oscillate(rng, dsp.harmonics(rng, numbers ** (slope / 6.02)), gesture.pitch, samples, rate)
    noise = dsp.white(rng, samples)
    larynx = (buzz + np.float32(air) * noise) * dsp.upsample(gesture.voice, samples)
    fourth = np.full((len(gesture.formants), 1), 1.35 * float(np.mean(gesture.formants[:, -1])))
    peaks = np.array([1.0, 0.6, 0.35, 0.2]) * 10 ** (rng.uniform(-3, 3, 4) / 20)
    tract = dsp.resonances(rate, np.hstack((gesture.formants, fourth)), np.array([70.0, 100.0, 160.0, 300.0]), peaks)
    # The mouth radiates the derivative of the flow, which adds 6 dB per octave.
    vowels = dsp.filter_stft(larynx, tract * (0.2 + dsp.bins(rate) / 1000))
    narrow = dsp.resonances(rate, gesture.hiss[:, None], np.array([0.3 * float(gesture.hiss.mean())]), np.ones(1))
    return vowels + np.float32(rng.uniform(0.05, 0.25)) * dsp.filter_stft(
        noise * dsp.upsample(gesture.breath, samples), narrow
    )


def talking(rng: Generator, seconds: float, rate: int) -> Wave:
    """One to three people talking at different distances [sample]."""
    samples = dsp.sample_count(seconds, rate)
    people = [
        dsp.normalize_rms(speaker(rng, TALK, samples, rate)) for _ in range(rng.choice((1, 2, 3), p=(0.5, 0.38, 0.12)))
    ]
    return np.sum([10 ** (-rng.exponential(0.2)) * person for person in people], axis=0, dtype=np.float32)


def shouting(rng: Generator, seconds: float, rate: int) -> Wave:
    """One or two people who shout or call [sample]: high pitch, long vowels, a bright buzz."""
    samples = dsp.sample_count(seconds, rate)
    people = [dsp.normalize_rms(speaker(rng, SHOUT, samples, rate)) for _ in range(1 + (rng.random() < 0.3))]
    return np.sum([10 ** (-rng.exponential(0.15)) * person for person in people], axis=0, dtype=np.float32)


def crowd(rng: Generator, seconds: float, rate: int) -> Wave:
    """A crowd [sample]: a few voices, each repeated at random delays, with cheers and claps."""
    samples = dsp.sample_count(seconds, rate)
    excited = rng.random() < 0.4
    sound = np.zeros(samples, dtype=np.float32)
    for _ in range(5):
        manner = CHEER if excited and rng.random() < 0.6 else TALK
        person = dsp.normalize_rms(
            speaker(rng, manner, min(samples, dsp.sample_count(rng.uniform(2.5, 4.5), rate)), rate)
        )
        for copy in (person, person[::-1], person):  # reversed speech also sounds like babble
            turned = np.resize(np.roll(copy, int(rng.integers(len(copy)))), samples)
            sound += np.float32(10 ** (-rng.exponential(0.2))) * turned
    sound = dsp.normalize_rms(sound)
    if rng.random() < 0.35:
        clap = dsp.white(rng, dsp.sample_count(0.05, rate)) * dsp.ring_down(rate, 0.03, dsp.sample_count(0.05, rate))
        count = 1 + rng.poisson(seconds * rng.uniform(10, 60))
        palms = [dsp.filter_stft(clap, dsp.bandpass(rate, dsp.log_uniform(rng, 400, 1200), 4000, 1)) for _ in range(4)]
        claps = dsp.place_events(rng.random(count) * samples, rng.uniform(0.2, 1.0, count), palms, samples)
        sound += np.float32(rng.uniform(0.2, 0.8)) * dsp.normalize_rms(claps)
    return sound


def amplified_speech(rng: Generator, seconds: float, rate: int) -> Wave:
    """Speech over a megaphone, public address or radio [sample]: narrow band, overdriven, with a slap echo."""
    samples = dsp.sample_count(seconds, rate)
    person = dsp.normalize_rms(speaker(rng, TALK if rng.random() < 0.7 else SHOUT, samples, rate))
    driven = dsp.filter_stft(person, dsp.bandpass(rate, rng.uniform(250, 600), rng.uniform(2200, 4500), 3))
    driven = np.tanh(dsp.normalize_rms(driven) * np.float32(dsp.log_uniform(rng, 0.5, 4.0)))
    delay = dsp.sample_count(rng.uniform(0.04, 0.25), rate)
    if rng.random() < 0.5 and delay < samples:
        driven[delay:] += np.float32(rng.uniform(0.1, 0.5)) * driven[:-delay].copy()
    gain = dsp.pass_by(rng, samples, rate)[0] if rng.random() < 0.25 else np.ones(dsp.frame_count(samples))
    return driven * dsp.upsample(gain, samples)


def dog(rng: Generator, seconds: float, rate: int) -> Wave:
    """A dog [sample]: series of barks (a pitch that jumps and falls, half noise, an opening muzzle), or long whines."""
    samples = dsp.sample_count(seconds, rate)
    times = dsp.frame_times(samples, rate)
    small = dsp.log_uniform(rng, 0.7, 2.2)
    whines = rng.random() < 0.25
    top, length = 420 * small * rng.uniform(0.8, 1.3), rng.uniform(0.09, 0.24) / small**0.3
    voice, breath = [(0.0, 0.0)], [(0.0, 0.0)]
    tone, mouth = [(0.0, top)], [(0.0, 0.6)]
    at = rng.uniform(0, 0.1) * seconds
    while at < times[-1]:
        if whines:
            span, high = rng.uniform(0.25, 1.1), top * rng.uniform(1.6, 2.6)
            voice += [(at, 0.0), (at + 0.3 * span, 0.5), (at + 0.8 * span, 0.4), (at + span, 0.0)]
            tone += [(at, 0.8 * high), (at + 0.4 * span, high), (at + span, 0.7 * high)]
            at += span + rng.exponential(0.4) + 0.05
            continue
        for _ in range(rng.integers(1, 4)):
            span, force = length * rng.uniform(0.8, 1.25), rng.uniform(0.5, 1)
            voice += [(at, 0.0), (at + 0.15 * span, force), (at + 0.6 * span, 0.6 * force), (at + span, 0.0)]
            breath += [(at, 0.0), (at + 0.1 * span, 0.3 * force), (at + span, 0.0)]
            tone += [(at, 0.55 * top), (at + 0.25 * span, top * rng.uniform(0.9, 1.1)), (at + span, 0.45 * top)]
            mouth += [(at, 0.6), (at + 0.3 * span, 1.0), (at + span, 0.55)]
            at += span + rng.uniform(0.03, 0.25)
        at += rng.exponential(0.6) + 0.1
    muzzle = np.array([650, 1350, 2700]) * small**0.5
    formants = dsp.piecewise_linear(times, mouth)[:, None] * muzzle
    pitch = dsp.piecewise_linear(times, tone) * (1 + 0.02 * dsp.slow_noise(rng, samples, rate, 40.0))
    hiss = np.full_like(times, 2000.0 * small**0.5)
    gesture = Gesture(pitch, dsp.piecewise_linear(times, voice), dsp.piecewise_linear(times, breath), formants, hiss)
    return utter(rng, gesture, rng.uniform(-9, -4), rng.uniform(0.1, 0.9), samples, rate)
