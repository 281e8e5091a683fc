#!/usr/bin/env bash
# X-ARES returns the score of the old weights under one class name, even with force_encode and force_retrain_mlp.
#
# Versions: xares 0.1.3, torch 2.11.0 (torchcodec needs FFmpeg's libraries).
#
# Embeddings, probe and score lie in folders named by the encoder's class. force_encode makes new embeddings, and
# force_retrain_mlp would train a new probe, but mlp_score.txt and knn_score.txt are read before either is asked, and no
# option covers them. Here a useful encoder is scored, then one of the same class name that gives noise.
#
# Why it matters: checkpoints of one training run, sizes of one model, options of one class: they all have one name. The
# first is scored and the others get its score, to the last digit. Give each its own env_root or class name, or delete
# env/TASK/checkpoints/CLASS.
#
# Seen on 2026-11-28:
#   useful weights                        MLP 1.000   kNN 0.500
#   noise, same class name, forced        MLP 1.000   kNN 0.500
#   noise, in a folder of its own         MLP 0.625   kNN 0.650
# (That kNN is at chance on a task that it should solve is a finding of its own: xares_knn_is_not_cosine.sh.)
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


class LevelEncoder(torch.nn.Module):
    """Level and one, every 40 ms; with noise=True numbers that have nothing to do with the audio."""

    sampling_rate, output_dim, hop_size_in_ms = 16000, 4, 40

    def __init__(self, noise=False):
        super().__init__()
        self.noise = noise

    def forward(self, audio):
        frames = audio[:, : audio.shape[1] // 640 * 640].reshape(len(audio), -1, 640)
        level = frames.square().mean(-1, keepdim=True).sqrt().log()
        useful = torch.cat([level, -level, level + 1, torch.ones_like(level)], -1)
        return torch.randn(useful.shape) if self.noise else useful


def scores(encoder, folder, **forced):
    config = TaskConfig(
        name="level", encoder=encoder, env_root=folder, label_processor=lambda row: row["label"], output_dim=2,
        num_encoder_workers=0, epochs=30, learning_rate=0.1, **forced,
    )  # fmt: skip
    logger.remove()
    (mlp, _), (knn, _) = XaresTask(config).run()
    return mlp, knn


rng = np.random.default_rng(0)
for folder in ("env", "other"):
    for split, number in (("train", 60), ("valid", 20), ("test", 40)):
        loud_and_quiet = [(rng.standard_normal(3200) * (0.3, 0.01)[i % 2], i % 2) for i in range(number)]
        write_shard(Path(folder, "level", f"{split}-0.tar"), loud_and_quiet)

rows = {
    "useful weights": scores(LevelEncoder(), "env"),
    "noise, same class name, forced": scores(LevelEncoder(noise=True), "env", force_encode=True, force_retrain_mlp=True),
    "noise, in a folder of its own": scores(LevelEncoder(noise=True), "other"),
}
for name, (mlp, knn) in rows.items():
    print(f"{name:36}  MLP {mlp:.3f}   kNN {knn:.3f}")
useful, forced, alone = rows.values()
assert useful[0] > 0.9 and alone[0] < 0.8, "the generated task is not as meant"
assert useful == forced, "the score is computed anew now"
print("as described: the old score under the old name")
PY
