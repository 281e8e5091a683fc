#!/usr/bin/env bash
# X-ARES picks the epoch of a k-fold probe on the fold that it then scores: the result is the best of its ten epochs.
#
# Versions: xares 0.1.3, torch 2.11.0 (torchcodec needs FFmpeg's libraries).
#
# For a task with folds (ESC-50, UrbanSound8k, GTZAN, RAVDESS, LibriCount, VocalImitations), the held-out fold is given
# as the validation set: it chooses the epoch, and is scored again. The score of each fold equals the highest of the ten
# numbers that it had during training. Here the labels are drawn by chance, so nothing can be learned.
#
# Why it matters: scores of these tasks are too high by what selection gives: the more the epochs differ, the more.
# Small folds and unstable probes gain most, and an encoder whose scores swing can pass one that is better. They cannot
# be compared with cross-validation that sets a fold aside for choosing.
#
# Seen on 2026-11-28 (labels are random, 5 folds of 40 clips; the shuffling is not seeded, so runs differ a little):
#   mean of all epochs 0.523, last epoch 0.540, best epoch of each fold 0.600, X-ARES reports 0.600
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  xares==0.1.3 torch==2.11.0 torchaudio==2.11.0 torchcodec==0.17.0 webdataset==1.0.2 pytorch-ignite==0.5.5 \
  transformers==5.24.0 jiwer==4.0.0 loguru==0.7.3 numpy==2.4.6 soundfile==0.14.0 scikit-learn==1.9.1
cd "$work"
export CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore OMP_NUM_THREADS=1
venv/bin/python - 2> log.txt <<'PY' || { tail -5 log.txt; exit 1; }
import re
import io
import json
import tarfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile
import torch

from loguru import logger
from xares.task import TaskConfig, XaresTask

print(*(f"{name} {version(name)}" for name in ("xares", "torch", "webdataset", "pytorch-ignite")), sep=", ")

def write_shard(path, clips):
    """A shard of raw audio as X-ARES reads it: key.wav and key.json for each (samples at 16 kHz, label)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, (samples, label) in enumerate(clips):
            wav = io.BytesIO()
            soundfile.write(wav, samples, 16000, format="WAV", subtype="FLOAT")
            for suffix, data in (("wav", wav.getvalue()), ("json", json.dumps({"label": label}).encode())):
                entry = tarfile.TarInfo(f"{path.stem}_{number}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    (path.parent / ".audio_tar_ready").touch()


class NoiseEncoder(torch.nn.Module):
    sampling_rate, output_dim, hop_size_in_ms = 16000, 16, 40

    def forward(self, audio):
        return torch.randn(len(audio), max(1, audio.shape[1] // 640), 16)


rng = np.random.default_rng(0)
folds = [1, 2, 3, 4, 5]
for fold in folds:
    clips = [(rng.standard_normal(1600) * 0.1, int(rng.integers(2))) for _ in range(40)]
    write_shard(Path("env", "chance", f"wds-audio-fold-{fold}-0.tar"), clips)
config = TaskConfig(
    name="chance", encoder=NoiseEncoder(), env_root="env", k_fold_splits=folds, output_dim=2, learning_rate=0.1,
    label_processor=lambda row: row["label"], num_encoder_workers=0, do_knn=False,
)  # fmt: skip
said = []
logger.remove()
logger.add(said.append, format="{message}")
task = XaresTask(config)
task.make_encoded_tar()
score, _ = task.run_mlp()

epochs = np.array([float(a) for a in re.findall(r"Epoch: \d+ accuracy: ([\d.]+)", "".join(said))]).reshape(len(folds), 10)
best = epochs.max(1).mean()
print(f"mean of all epochs {epochs.mean():.3f}, last epoch {epochs[:, -1].mean():.3f}, "
      f"best epoch of each fold {best:.3f}, X-ARES reports {score:.3f}")  # fmt: skip
assert abs(score - best) < 2e-3, "the score is not that of the best epoch any more"
assert score > epochs.mean() + 0.01
print("as described: the fold that is scored has chosen the epoch")
PY
