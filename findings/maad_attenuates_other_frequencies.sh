#!/usr/bin/env bash
# scikit-maad: apply_attenuation carries a sound over a distance with the attenuation of other frequencies.
#
# Versions: scikit-maad 1.5.2, numpy 2.4.6.
#
# apply_attenuation multiplies all n bins of an FFT by the attenuation at k/n * rate/2, though bin k lies at k/n * rate,
# and the upper half of the bins are negative frequencies. So one half of a tone at f is attenuated as if it lay at f/2,
# the other half as if it lay at (rate - f)/2. Low tones lose up to 6 dB too much, high ones far too little, and the
# result depends on the sample rate. The library's own attenuation_dB is right: it equals ISO 9613-1 plus spherical
# spreading and the habitat term.
# dBSPL_at_r0, which goes the other way, adds 6 dB: it reads levels re 20 uPa and writes them re 10 uPa by default.
#
# Why it matters: the function is there to make distant copies of a call or an alarm. Copies at 100 m keep 15 dB too
# much at 8 kHz and 46 dB at 16 kHz, and a detector trained on them expects treble that the way removes. Source levels
# from dBSPL_at_r0 are doubled in pressure. Multiply numpy.fft.rfft by the factors of attenuation_dB at rfftfreq, as
# below, and give pRef=20e-6.
#
# Seen on 2026-11-28, loss in dB from 1 m to 101 m at 20 degrees, 60 % humidity and 0.02 dB/kHz/m of habitat:
#   tone, rate          apply_attenuation   attenuation_dB   formula   rfft with attenuation_dB
#     500 Hz, 48000 Hz               46.3             41.4      41.4                       41.4
#    2000 Hz, 16000 Hz               44.3             45.0      45.0                       45.0
#    2000 Hz, 48000 Hz               47.0             45.0      45.0                       45.0
#    8000 Hz, 24000 Hz               47.2             65.0      65.0                       65.0
#    8000 Hz, 48000 Hz               50.2             65.0      65.0                       65.0
#   16000 Hz, 48000 Hz               57.6            103.9     103.9                      103.9
#   a level of 50 dB at 1 m, taken to 1 m by dBSPL_at_r0: 56.02 dB
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  scikit-maad==1.5.2 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 scikit-image==0.26.0 matplotlib==3.11.2
cd "$work"
MPLCONFIGDIR="$work" venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from math import exp

import numpy as np
from maad import spl

print(*(f"{name} {version(name)}" for name in ("scikit-maad", "numpy")), sep=", ")
near, far, celsius, humidity, habitat = 1, 101, 20, 60, 0.02


def formula(f):
    """Loss in dB: ISO 9613-1 at the reference pressure, spherical spreading, and habitat in dB/kHz/m."""
    kelvin = celsius + 273.15
    warm = kelvin / 293.15
    h = humidity * 10 ** (4.6151 - 6.8346 * (273.16 / kelvin) ** 1.261)
    oxygen = 24 + 4.04e4 * h * (0.02 + h) / (0.391 + h)
    nitrogen = warm**-0.5 * (9 + 280 * h * exp(-4.17 * (warm ** (-1 / 3) - 1)))
    relaxation = 0.01275 * exp(-2239.1 / kelvin) / (oxygen + f**2 / oxygen)
    relaxation += 0.1068 * exp(-3352 / kelvin) / (nitrogen + f**2 / nitrogen)
    air = 8.686 * f**2 * (1.84e-11 * warm**0.5 + warm**-2.5 * relaxation)
    return 20 * np.log10(far / near) + (air + habitat * f / 1000) * (far - near)


def tabulated(f):
    loss, _ = spl.attenuation_dB(np.atleast_1d(f), np.array([far]), near, t=celsius, rh=humidity, a0=habitat)
    return np.ravel(loss)


def by_hand(sound, rate):
    loss = tabulated(np.fft.rfftfreq(len(sound), 1 / rate))
    return np.fft.irfft(np.fft.rfft(sound) * 10 ** (-loss / 20), len(sound))


print("tone, rate          apply_attenuation   attenuation_dB   formula   rfft with attenuation_dB")
excess = {}
for tone, rate in ((500, 48000), (2000, 16000), (2000, 48000), (8000, 24000), (8000, 48000), (16000, 48000)):
    sound = np.sin(2 * np.pi * tone * np.arange(rate) / rate)  # whole periods in one second
    carried = spl.apply_attenuation(sound, rate, far, near, t=celsius, rh=humidity, a0=habitat)
    lost, right = (-20 * np.log10(np.std(x) / np.std(sound)) for x in (carried, by_hand(sound, rate)))
    print(f"{tone:5d} Hz, {rate} Hz {lost:18.1f} {tabulated(tone)[0]:16.1f} {formula(tone):9.1f} {right:26.1f}")
    assert abs(tabulated(tone)[0] - formula(tone)) < 0.01 and abs(right - formula(tone)) < 0.01
    excess[tone, rate] = lost - formula(tone)

again = spl.dBSPL_at_r0(1000, 1, 50.0, r0=1)
print(f"a level of 50 dB at 1 m, taken to 1 m by dBSPL_at_r0: {again:.2f} dB")
assert 4 < excess[500, 48000] < 6.1, "low tones no longer lose too much"
assert excess[8000, 48000] < -14 and excess[16000, 48000] < -45, "high tones no longer lose too little"
assert abs(excess[2000, 16000] - excess[2000, 48000]) > 0.5, "the sample rate no longer matters"
assert abs(again - 50 - 20 * np.log10(2)) < 0.01 and abs(spl.dBSPL_at_r0(1000, 1, 50.0, pRef=20e-6) - 50) < 0.01
print("as described: tones lose what other tones should lose")
PY
