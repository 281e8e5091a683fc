#!/usr/bin/env bash
# torchaudio's default resampling folds a 23 kHz tone to 21.1 kHz at -9 dB, and its kernel grows with the rates' product.
#
# Versions: torchaudio 2.11.0, torch 2.11.0, soxr 1.1.0.
#
# From 48 to 44.1 kHz, a tone of 23 kHz must vanish (the limit is 22.05 kHz). With the default filter (6 zero
# crossings, Hann window) it stays at -9 dB as an alias, and 20 kHz, which must stay, loses 2.6 dB. soxr leaves -135 dB
# and takes nothing at 20 kHz; torchaudio with lowpass_filter_width=64 and the Kaiser window leaves -112 dB.
# The kernel has one filter for each output sample of a period, each as long as the period: after the rates' common
# factor is divided out, about old rate times new rate numbers. For 48 to 44.1 kHz that is 0.1 MB. For two rates that
# share no factor it is 4 MB at 1 kHz, 16 MB at 2 kHz, 64 MB at 4 kHz, and so on with the square, whatever the audio.
#
# Why it matters: resampling is where "the same audio" of two projects parts: a model that was trained on soxr's output
# gets a folded band at a third of its level. And a number in a file's header governs the memory. Use soxr, or the
# Kaiser settings for common rates.
#
# Seen on 2026-11-28, level of the output against the input, 48 to 44.1 kHz:
#   tone        torchaudio   width 64, Kaiser      soxr
#   20000 Hz       -2.6 dB            -0.1 dB      0.0 dB
#   21500 Hz       -5.2 dB           -24.1 dB    -25.2 dB
#   23000 Hz       -8.7 dB          -112.2 dB   -135.1 dB
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==2.11.0 torchaudio==2.11.0 soxr==1.1.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import math
from importlib.metadata import version

import numpy as np
import soxr
import torch
from torchaudio.functional import resample
from torchaudio.transforms import Resample

print(*(f"{name} {version(name)}" for name in ("torchaudio", "torch", "soxr")), sep=", ")
sharp = {"lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "resampling_method": "sinc_interp_kaiser",
         "beta": 14.769656459379492}  # fmt: skip


def level(samples):
    """dB against a sine of amplitude 1, without the edges."""
    return 10 * math.log10(2 * float(np.mean(np.square(samples[4410:-4410], dtype=float))))


print("tone        torchaudio   width 64, Kaiser        soxr")
levels = {}
for tone in (20000, 21500, 23000):
    wave = np.sin(2 * np.pi * tone * np.arange(96000) / 48000).astype("float32")
    tensor = torch.from_numpy(wave)
    levels[tone] = row = (
        level(resample(tensor, 48000, 44100).numpy()),
        level(resample(tensor, 48000, 44100, **sharp).numpy()),
        level(soxr.resample(wave, 48000, 44100)),
    )
    print(f"{tone} Hz {row[0]:10.1f} dB {row[1]:15.1f} dB {row[2]:8.1f} dB")

sizes = {}
for old, new in ((48000, 44100), (1000, 1001), (2000, 2001), (4000, 4001)):
    kernel = Resample(old, new).kernel
    sizes[old] = kernel.numel() * 4 / 1e6
    print(f"{old} to {new} Hz: a kernel of {kernel.shape[0]} x {kernel.shape[2]}, {sizes[old]:.1f} MB")

assert -10 < levels[23000][0] < -7 and -4 < levels[20000][0] < -1.5, "the default filter has changed"
assert levels[23000][2] < -100 and abs(levels[20000][2]) < 0.1
assert 3.5 < sizes[2000] / sizes[1000] < 4.5 and 3.5 < sizes[4000] / sizes[2000] < 4.5, "the kernel grows otherwise"
print("as described: an alias at a third of the level, and a kernel that grows with the square of the rate")
PY
