#!/usr/bin/env bash
# X-ARES: a clip's embedding depends on which clips are beside it, because the padding is embedded and averaged in.
#
# Versions: xares 0.1.3, torch 2.11.0 (torchcodec needs FFmpeg's libraries).
#
# Clips are batched by 16 for encoding and padded with zeros to the longest of them. The encoder is not told the
# lengths, all frames of the padded clip are stored, and the probes average over all of them. A clip of 0.2 s beside one
# of 2 s becomes 10 % signal and 90 % silence. Only tasks with crop_length, or with clips of one length, are free of it.
#
# Why it matters: scores of tasks with clips of many lengths (CREMA-D, VocalSound, RAVDESS, LibriSpeech gender without
# crops, Speech Commands) depend on the batch size, on the order of files in the tars and on the outlier in each batch;
# mean pooling of one's own over the true length gives other numbers. Set batch_size_encode=1 to compare.
#
# Seen on 2026-11-28, the same clip of 0.2 s and level 0.1, an encoder that returns the level:
#   alone in its batch: 5 frames, mean level 0.100
#   beside a 2 s clip : 50 frames, mean level 0.010
#   beside a 2 s clip, batch_size_encode=1: 5 frames, mean level 0.100
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
    sampling_rate, output_dim, hop_size_in_ms = 16000, 1, 40

    def forward(self, audio):
        frames = audio[:, : audio.shape[1] // 640 * 640].reshape(len(audio), -1, 640)
        return frames.square().mean(-1, keepdim=True).sqrt()


rng = np.random.default_rng(0)
short = 0.1 * np.sign(rng.standard_normal(3200))  # level 0.1 exactly
long = 0.1 * np.sign(rng.standard_normal(32000))


def stored(name, clips, **options):
    """Frames and mean of the first clip's stored embedding."""
    for split in ("train", "valid", "test"):
        write_shard(Path("env", name, f"{split}-0.tar"), clips)
    config = TaskConfig(name=name, encoder=LevelEncoder(), env_root="env", output_dim=2, num_encoder_workers=0, **options)
    logger.remove()
    XaresTask(config).make_encoded_tar()
    with tarfile.open(Path("env", name, "embeddings", "LevelEncoder", "wds-encoded-test000000.tar")) as tar:
        first = next(entry for entry in tar if entry.name.endswith(".npy") and "_0" in entry.name)
        embedding = np.load(io.BytesIO(tar.extractfile(first).read()))
    return len(embedding), float(embedding.mean())


alone = stored("alone", [(short, 0)])
beside = stored("beside", [(short, 0), (long, 1)])
single = stored("single", [(short, 0), (long, 1)], batch_size_encode=1)
print(f"alone in its batch: {alone[0]} frames, mean level {alone[1]:.3f}")
print(f"beside a 2 s clip : {beside[0]} frames, mean level {beside[1]:.3f}")
print(f"beside a 2 s clip, batch_size_encode=1: {single[0]} frames, mean level {single[1]:.3f}")
assert alone[0] == single[0] == 5 and abs(alone[1] - 0.1) < 1e-3 and abs(single[1] - 0.1) < 1e-3
assert beside[0] == 50 and abs(beside[1] - 0.01) < 1e-3, "padding is no longer stored"
print("as described: the neighbour's length is in the embedding")
PY
