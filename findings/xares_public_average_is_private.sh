#!/usr/bin/env bash
# X-ARES prints the average of the *private* tasks as that of the "Public Datasets".
#
# Versions: xares 0.1.3, torch 2.11.0 (torchcodec needs FFmpeg's libraries).
#
# Each task ends in a row with a flag that is true for private tasks. The last two lines keep the rows whose flag is
# true. With no private task among those that were run, the two lines are left out.
#
# Why it matters: whoever has the private sets and publishes the public average publishes the other one. Compute it
# from the table above those lines.
#
# Seen on 2026-11-28:
#     Task  MLP_Score  KNN_Score  Private
#   closed        0.5        0.5     True
#     open        1.0        0.5    False
#   Weighted Average MLP Score for All Datasets: 0.75
#   Weighted Average MLP Score for Public Datasets: 0.5
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  xares==0.1.3 torch==2.11.0 torchaudio==2.11.0 torchcodec==0.17.0 webdataset==1.0.2 pytorch-ignite==0.5.5 \
  transformers==5.24.0 jiwer==4.0.0 loguru==0.7.3 numpy==2.4.6 soundfile==0.14.0 scikit-learn==1.9.1
cd "$work"
export CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore OMP_NUM_THREADS=1
cat > level_encoder.py <<'PY'
import torch


class LevelEncoder(torch.nn.Module):
    sampling_rate, output_dim, hop_size_in_ms = 16000, 4, 40

    def forward(self, audio):
        frames = audio[:, : audio.shape[1] // 640 * 640].reshape(len(audio), -1, 640)
        level = frames.square().mean(-1, keepdim=True).sqrt().log()
        return torch.cat([level, -level, level + 1, torch.ones_like(level)], -1)
PY
for name in open closed; do
  cat > "${name}_task.py" <<PY
from xares.task import TaskConfig


def ${name}_config(encoder):
    return TaskConfig(
        name="$name", encoder=encoder, env_root="env", label_processor=lambda row: row["label"], output_dim=2,
        num_encoder_workers=0, eval_weight=100, private="$name" == "closed", learning_rate=0.1,
    )
PY
done
venv/bin/python - <<'PY'
import io
import json
import tarfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile

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


rng = np.random.default_rng(0)
for name, levels in (("open", (0.3, 0.01)), ("closed", (0.1, 0.1))):  # the second cannot be told apart
    for split, number in (("train", 60), ("valid", 20), ("test", 40)):
        clips = [(rng.standard_normal(3200) * levels[i % 2], i % 2) for i in range(number)]
        write_shard(Path("env", name, f"{split}-0.tar"), clips)
PY
venv/bin/python -m xares.run level_encoder.py open_task.py closed_task.py --max-jobs 0 > said.txt 2> log.txt \
  || { tail -5 log.txt; exit 1; }
sed -n '/^Results/,$p' said.txt
venv/bin/python - <<'PY'
import re
from pathlib import Path

said = Path("said.txt").read_text()
table = {name: float(mlp) for name, mlp in re.findall(r"^\s*(open|closed)\s+(\S+)\s", said, re.M)}
public = float(re.search(r"MLP Score for Public Datasets: (\S+)", said)[1])
assert table["open"] - table["closed"] > 0.1, "the generated tasks are not as meant"
assert abs(public - table["closed"]) < 1e-6, "the public average is no longer that of the private task"
print("as described: the public average is that of the private task")
PY
