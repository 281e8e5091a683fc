#!/usr/bin/env bash
# librosa: at 16 kHz, pitch_shift with its default window moves onsets by up to 38 ms, by another amount for each shift.
#
# Versions: librosa 0.11.0, numpy 2.4.6.
#
# A decaying note of five harmonics begins after half a second of silence. Shifted down by 1 to 4 semitones it begins
# 18 to 38 ms later, shifted up by as much 2 ms later to 2 ms earlier; its pitch is right and the signal has its old
# length. The stretch before the resampling uses frames of 2,048 samples whatever the sample rate: 128 ms at 16 kHz,
# where it is 46 ms at 44.1 kHz. With n_fft=512 the onsets move by at most 9 ms, and the pitch stays right.
#
# Why it matters: in sound event detection the collar of an onset is often 200 ms, in transcription of music 50 ms. A
# training set augmented by shifts down, with the labels of the original, teaches onsets that are too early by up to
# three frames of 10 ms, and aligned pairs of a clip and its shifted copy are not aligned. Give n_fft with the sample
# rate in mind.
#
# Seen on 2026-11-28:
#   n_fft 2048: -4 st +38.1 ms, -3 st +18.5 ms, -1 st +20.5 ms, +1 st +2.1 ms, +3 st +1.2 ms, +4 st -1.6 ms
#   n_fft  512: -4 st +8.1 ms, -3 st +8.4 ms, -1 st +4.2 ms, +1 st +2.1 ms, +3 st +1.1 ms, +4 st -1.6 ms
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  librosa==0.11.0 numpy==2.4.6 numba==0.67.0 scipy==1.17.1 soxr==1.1.0
cd "$work"
venv/bin/python - <<'PY'
from importlib.metadata import version

import librosa
import numpy as np

print(*(f"{name} {version(name)}" for name in ("librosa", "numpy")), sep=", ")
rate, start = 16_000, 0.5
time = np.arange(rate) / rate
note = sum(np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, 6)) * np.exp(-6 * time)
audio = (0.2 * np.concatenate([np.zeros(int(start * rate)), note])).astype(np.float32)


def onset(x):
    """Milliseconds at which the power, smoothed over 2 ms, first reaches a tenth of its largest."""
    power = np.convolve(x.astype(np.float64) ** 2, np.ones(32) / 32, "same")
    return 1000 * np.argmax(power > 0.1 * power.max()) / rate


def pitch(x):
    """The strongest frequency in Hz, to a bin of 1 Hz."""
    return np.abs(np.fft.rfft(x[rate // 2 :], rate)).argmax()


moved = {}
for n_fft in (2048, 512):
    for steps in (-4, -3, -1, 1, 3, 4):
        shifted = librosa.effects.pitch_shift(audio, sr=rate, n_steps=steps, n_fft=n_fft)
        assert shifted.shape == audio.shape
        assert abs(12 * np.log2(pitch(shifted) / 220) - steps) < 0.15, "the pitch is right"
        moved[n_fft, steps] = onset(shifted) - onset(audio)
    row = ", ".join(f"{steps:+d} st {ms:+.1f} ms" for (of, steps), ms in moved.items() if of == n_fft)
    print(f"n_fft {n_fft:4}: {row}")

assert all(15 < moved[2048, steps] < 45 for steps in (-4, -3, -1))
assert all(abs(moved[2048, steps]) < 4 for steps in (1, 3, 4))
assert all(abs(moved[512, steps]) < 10 for steps in (-4, -3, -1, 1, 3, 4))
PY
