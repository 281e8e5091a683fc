#!/usr/bin/env bash
# audiotools: a slice of a measured signal has no loudness, or that of the whole; normalising it empties or misses it.
#
# Versions: descript-audiotools 0.7.2, torch 2.11.0.
#
# AudioSignal keeps the loudness once measured. A slice over time, signal[..., a:b], slices that one number with the
# samples' indices: for a = 0 it stays, so that the slice has the loudness of the whole signal; for a > 0 it is an empty
# tensor, and normalize() on it returns a signal without any audio, batch size 0. If loudness() had not been called
# before, the same slice is right. A second fact: loudness has a floor of -70 LUFS, and normalize() believes it, so a
# clip at -96.9 LUFS that is normalised to -24 ends at -50.9, without a word.
#
# Why it matters: a print or a filter on loudness() before cutting changes what comes after it. Batches lose items, and
# normalised excerpts are off by what their part differs from the whole. Quiet field recordings stay quiet. Build a new
# AudioSignal from the sliced audio_data, and measure again after normalising.
#
# Seen on 2026-11-28 (4 s, the second half 40 dB quieter, in LUFS):
#   first half, not measured before: says -16.9, is -16.9, normalised to -24: -24.0
#   first half, measured before: says -17.3, is -16.9, normalised to -24: -23.7
#   second half, not measured before: says -56.9, is -56.9, normalised to -24: -24.0
#   second half, measured before: says nothing, is -56.9, normalised to -24: no audio, shape (0, 1, 88200)
#   a clip at -96.9 LUFS: says -70.0, normalised to -24: -50.9
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "setuptools<81" \
  descript-audiotools==0.7.2 torch==2.11.0 torchaudio==2.11.0 numpy==2.4.6
cd "$work"
export CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore
venv/bin/python - <<'PY'
from importlib.metadata import version

import torch
from audiotools import AudioSignal

print(*(f"{name} {version(name)}" for name in ("descript-audiotools", "torch")), sep=", ")
torch.manual_seed(0)
audio = 0.1 * torch.randn(1, 1, 4 * 44100)
audio[..., 88200:] *= 0.01


def loudness(samples):
    """Measured on a signal of its own."""
    return AudioSignal(samples.clone(), 44100).loudness().item()


def say(signal):
    value = signal.loudness()
    return f"{value.item():.1f}" if value.numel() else "nothing"


results = {}
for half, part in (("first half", slice(0, 88200)), ("second half", slice(88200, None))):
    for measured in (False, True):
        signal = AudioSignal(audio.clone(), 44100)
        if measured:
            signal.loudness()
        cut = signal[..., part]
        said, true = say(cut), loudness(cut.audio_data)
        normal = cut.clone().normalize(-24.0).audio_data
        after = f"{loudness(normal):.1f}" if normal.numel() else f"no audio, shape {tuple(normal.shape)}"
        results[half, measured] = said, after
        when = "measured before" if measured else "not measured before"
        print(f"{half}, {when}: says {said}, is {true:.1f}, normalised to -24: {after}")

quiet = AudioSignal(1e-4 * audio[..., :88200], 44100)
before = quiet.loudness().item()
after = loudness(quiet.normalize(-24.0).audio_data)
true = loudness(audio[..., :88200]) - 80
print(f"a clip at {true:.1f} LUFS: says {before:.1f}, normalised to -24: {after:.1f}")

assert results["second half", False][1] == "-24.0" and results["first half", False][1] == "-24.0"
assert results["second half", True] == ("nothing", "no audio, shape (0, 1, 88200)"), "slices are measured anew now"
assert results["first half", True][0] == f"{loudness(audio):.1f}"
assert before == -70 and abs(after - (true + 46)) < 0.1, "there is no floor now"
print("as described: measuring first changes what a slice says")
PY
