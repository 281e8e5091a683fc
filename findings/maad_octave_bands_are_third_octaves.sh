#!/usr/bin/env bash
# scikit-maad: the octave bands of linear_to_octave are a third of an octave wide, so most of the spectrum is in none.
#
# Versions: scikit-maad 1.5.2, numpy 2.4.6.
#
# linear_to_octave(..., thirdOctave=False) takes the centres of octaves and the edges of third octaves: a factor of
# 2^(1/6) below and above, where an octave has 2^(1/2). Each band of white noise reads 4.9 dB low. A tone at 1.3 kHz is
# 100 dB down in every band, one at 1 kHz reads right: a check with tones at the centres passes. With thirdOctave=True,
# the default, the bands are right, and three of them add up to the octave.
#
# Why it matters: noise limits and room curves are given in octaves, and levels that are 5 dB low pass them. A sweeping
# siren vanishes between bands. features.tfsd(mode="Octave") is computed from these bands. Sum three third octaves, or
# the bins between centre / 2^(1/2) and centre * 2^(1/2).
#
# Seen on 2026-11-28, white noise at -20 dB and three tones at -23.0 dB, octaves from 250 Hz to 8 kHz:
#   centre, Hz                      250     500    1000    2000    4000    8000
#   noise, linear_to_octave       -46.2   -43.3   -40.3   -37.1   -34.1   -31.1
#   noise, three third octaves    -41.4   -38.3   -35.3   -32.4   -29.3   -26.3
#   noise, sum of the bins        -41.4   -38.3   -35.3   -32.3   -29.3   -26.3
#   tone at 1000 Hz: strongest octave  -23.0 dB, sum of the bins  -23.0 dB
#   tone at 1300 Hz: strongest octave -123.7 dB, sum of the bins  -23.0 dB
#   tone at  700 Hz: strongest octave -111.0 dB, sum of the bins  -23.0 dB
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  scikit-maad==1.5.2 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 scikit-image==0.26.0 matplotlib==3.11.2
cd "$work"
MPLCONFIGDIR="$work" venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from maad import sound

print(*(f"{name} {version(name)}" for name in ("scikit-maad", "numpy")), sep=", ")
rate = 48_000
time = np.arange(10 * rate) / rate
centres = [250, 500, 1000, 2000, 4000, 8000]


def levels(signal):
    """Levels in dB of the octaves: the library's, from its third octaves, and from the bins between the edges."""
    power, _, bins, _ = sound.spectrogram(signal, rate, nperseg=8192)
    mean = power.mean(axis=1)
    assert abs(10 * np.log10(mean.sum() / np.mean(signal**2))) < 0.02, "the spectrum holds the signal's power"
    octaves = dict(zip(*sound.linear_to_octave(mean, bins, thirdOctave=False)[::-1]))
    thirds, third_centres = sound.linear_to_octave(mean, bins)
    three = [thirds[(third_centres > c / 2**0.5) & (third_centres < c * 2**0.5)] for c in centres]
    assert all(len(values) == 3 for values in three)
    right = [mean[(bins >= c / 2**0.5) & (bins < c * 2**0.5)].sum() for c in centres]
    return 10 * np.log10([[octaves[c] for c in centres], [values.sum() for values in three], right])


noise = levels(0.1 * np.random.default_rng(0).standard_normal(len(time)))
print(f"{'centre, Hz':27}", *(f"{c:7d}" for c in centres))
for name, row in zip(("linear_to_octave", "three third octaves", "sum of the bins"), noise):
    print(f"noise, {name:20}", *(f"{level:7.1f}" for level in row))
# An octave of white noise is (2^(1/2) - 2^(-1/2)) f wide, a third of an octave (2^(1/6) - 2^(-1/6)) f.
narrow = 10 * np.log10((2 ** (1 / 6) - 2 ** (-1 / 6)) / (2**0.5 - 2**-0.5))
assert np.allclose(noise[0] - noise[2], narrow, atol=0.3), "the octaves have another width"
assert np.allclose(noise[1], noise[2], atol=0.15), "three third octaves are no octave"

tones = {}
for tone in (1000, 1300, 700):
    octaves, _, right = levels(0.1 * np.sin(2 * np.pi * tone * time))
    tones[tone] = octaves.max(), 10 * np.log10(np.sum(10 ** (right / 10)))
    print(f"tone at {tone:4d} Hz: strongest octave {tones[tone][0]:6.1f} dB, sum of the bins {tones[tone][1]:6.1f} dB")
assert all(abs(right + 23.01) < 0.05 for _, right in tones.values()) and abs(tones[1000][0] + 23.01) < 0.05
assert tones[1300][0] < -90 and tones[700][0] < -90, "the tones are in a band now"
print("as described: an octave that holds a third")
PY
