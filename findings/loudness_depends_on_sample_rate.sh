#!/usr/bin/env bash
# The same tone at the same level gets another loudness at another sample rate, and two BS.1770 meters move apart.
#
# Versions: pyloudnorm 0.2.0, pyebur128 0.1.1 (libebur128 1.2.6), numpy 2.4.6.
#
# BS.1770 gives filter coefficients for 48 kHz and asks for the same response at other rates. pyloudnorm's default
# filters are of another design: they read 0.04 LU low at 48 kHz, 0.11 LU below libebur128 at 16 kHz and 0.20 LU at
# 8 kHz, where EBU Tech 3341 allows a meter 0.1 LU. A tone that is only resampled from 48 to 8 kHz loses 0.14 LU.
# pyloudnorm's filter_class="DeMan" equals libebur128 at every rate and the standard's own coefficients at 48 kHz.
#
# Why it matters: "normalised to -24 LUFS" at 8 or 16 kHz (speech, telephone, many HEAR tasks) is another level with
# pyloudnorm than with tools on libebur128, and a level set at 48 kHz is off after resampling. Take DeMan, or measure at
# 48 kHz and say so.
#
# Seen on 2026-11-28, a 997 Hz tone of amplitude 0.25, in LUFS (BS.1770's coefficients at 48 kHz: -15.051):
#   rate     pyloudnorm   pyloudnorm DeMan   libebur128
#   8000        -15.233            -15.037      -15.037
#   16000       -15.124            -15.011      -15.011
#   44100       -15.094            -15.049      -15.049
#   48000       -15.093            -15.051      -15.051
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pyloudnorm==0.2.0 pyebur128==0.1.1 numpy==2.4.6 scipy==1.17.1
cd "$work"
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
import pyebur128
import pyloudnorm
from scipy.signal import freqz

print(*(f"{name} {version(name)}" for name in ("pyloudnorm", "pyebur128", "numpy")), sep=", ")
print("libebur128", pyebur128.get_libebur128_version())


def libebur128(tone, rate):
    state = pyebur128.R128State(1, rate, pyebur128.MeasurementMode.MODE_I)
    state.add_frames(tone, len(tone))
    return pyebur128.get_loudness_global(state)


# What the standard's own coefficients say, at their own rate: -0.691 + gain of the filters + level of the tone.
shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585]
high_pass = [1, -2, 1], [1, -1.99004745483398, 0.99007225036621]
gain = np.prod([abs(freqz(b, a, [997], fs=48000)[1][0]) for b, a in (shelf, high_pass)])
standard = -0.691 + 20 * np.log10(gain * 0.25 / np.sqrt(2))
print(f"BS.1770's coefficients, 48000 Hz: {standard:.3f} LUFS")

values = {}
print("rate     pyloudnorm   pyloudnorm DeMan   libebur128")
for rate in (8000, 16000, 44100, 48000):
    tone = 0.25 * np.sin(2 * np.pi * 997 * np.arange(10 * rate) / rate)
    values[rate] = row = (
        pyloudnorm.Meter(rate).integrated_loudness(tone),
        pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(tone),
        libebur128(tone, rate),
    )
    print(f"{rate:<8d} {row[0]:10.3f}   {row[1]:16.3f}   {row[2]:10.3f}")

apart = {rate: row[2] - row[0] for rate, row in values.items()}
print("libebur128 minus pyloudnorm:", {rate: round(float(d), 3) for rate, d in apart.items()})
assert abs(values[48000][2] - standard) < 0.005 and 0.02 < apart[48000] < 0.06
assert 0.1 < apart[16000] < 0.13 and 0.17 < apart[8000] < 0.23, "the meters stand otherwise now"
assert values[48000][0] - values[8000][0] > 0.1
assert all(abs(row[1] - row[2]) < 0.01 for row in values.values())
print("as described: one tone, several loudnesses")
PY
