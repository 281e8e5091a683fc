#!/usr/bin/env bash
# descript-audio-codec: compress() gives 34 % more frames than encode() for the same ten seconds, off its grid.
#
# Versions: descript-audio-codec 1.0.0, descript-audiotools 0.7.2, torch 2.11.0.
#
# encode() gives one frame per 512 samples: 862 for 10 s at 44.1 kHz. compress(), which the command line uses, works in
# windows of 1 s by default. Each window holds more audio than it advances by, and the frames of all windows are put one
# after the other: 16 windows of 72 frames, 1,152 in all. decompress() undoes it. With win_duration=5.0 it is 1,248
# frames, with win_duration=None 862.
#
# Why it matters: codes from the .dac files taken as tokens or features are 34 % too many, frame i does not lie at
# i * 512 / 44,100 s, and labels laid on it shift by up to a third of the clip. The bit rate is higher than the nominal
# one by as much. A model trained on encode() and fed .dac codes (or the reverse) sees other statistics at the seams.
# Pass win_duration=None, or call encode().
#
# Seen on 2026-11-28 (10 s at 44.1 kHz; weights are random, they do not matter here):
#   encode                       862 frames
#   compress, win_duration=1.0  1152 frames, 1.34 times as many, 72 a window
#   compress, win_duration=5.0  1248 frames, 1.45 times as many, 416 a window
#   compress, win_duration=None  862 frames, 1.00 times as many, 862 a window
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "setuptools<81" \
  descript-audio-codec==1.0.0 descript-audiotools==0.7.2 torch==2.11.0 torchaudio==2.11.0 numpy==2.4.6
cd "$work"
export CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore
venv/bin/python - <<'PY'
from importlib.metadata import version

import dac
import torch
from audiotools import AudioSignal

print(*(f"{name} {version(name)}" for name in ("descript-audio-codec", "descript-audiotools", "torch")), sep=", ")
torch.manual_seed(0)
# The 44.1 kHz model's strides and kernels, with few channels.
model = dac.DAC(encoder_dim=8, encoder_rates=[2, 4, 8, 8], decoder_dim=64, decoder_rates=[8, 8, 4, 2], n_codebooks=2,
                latent_dim=16, sample_rate=44100).eval()  # fmt: skip
signal = AudioSignal(0.05 * torch.randn(1, 1, 441000), 44100)
with torch.no_grad():
    whole = model.encode(model.preprocess(signal.audio_data.clone(), 44100))[1].shape[-1]
print(f"encode                      {whole:5d} frames")
frames = {}
for window in (1.0, 5.0, None):
    packed = model.compress(signal.clone(), win_duration=window)
    frames[window] = packed.codes.shape[-1]
    print(f"compress, win_duration={window!s:4} {frames[window]:5d} frames, {frames[window] / whole:.2f} times as many, "
          f"{packed.chunk_length} a window")  # fmt: skip
assert whole == frames[None] == 862
assert frames[1.0] == 1152 and frames[5.0] == 1248, "compress gives other frames now"
print("as described: compress has a grid of its own")
PY
