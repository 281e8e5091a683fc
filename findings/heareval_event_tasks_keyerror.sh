#!/usr/bin/env bash
# heareval's event tasks end in a KeyError at test on pytorch-lightning 1.9.5, after every probe has been trained.
#
# Versions: heareval 2021.1.3, pytorch-lightning 1.9.5, torch 2.11.0.
#
# The post-processing of events is chosen at validation and kept by epoch. Before the test, heareval sets
# trainer.fit_loop.current_epoch to the best epoch; Lightning 1.9.5, the last that heareval runs on, counts epochs
# elsewhere and ignores that attribute. The model then looks up the epoch at which training ended, which was not
# validated. Scene tasks do not notice.
#
# Why it matters: DCASE 2016 task 2 and MAESTRO, HEAR's two event tasks, run through all grid points and leave no score.
# The message is a bare number that depends on when the probe stopped, and nothing points to Lightning.
#
# Seen on 2026-11-28: exit 1, KeyError: 18, test.predicted-scores.json was not written
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "setuptools<81" \
  torch==2.11.0 pytorch-lightning==1.9.5 torchinfo==1.8.0 click==8.5.1 more-itertools==11.2.1 tqdm==4.70.1 \
  numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 scikit-learn==1.9.1 sed_eval==0.2.1 dcase_util==0.2.20
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps heareval==2021.1.3
cd "$work"
# Lightning's checkpoints hold classes, which torch >= 2.6 refuses unless told otherwise.
export TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore
venv/bin/python - <<'PY'
import json
import pickle
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

print(*(f"{name} {version(name)}" for name in ("heareval", "pytorch-lightning", "torch")), sep=", ")
classes = ["bus", "dog"]
folder = Path("embeddings/events")
folder.mkdir(parents=True)
grid = {"hidden_layers": [1], "hidden_dim": [16], "lr": [1e-2], "max_epochs": [30], "patience": [2]}
metadata = {
    "task_name": "events", "splits": ["train", "valid", "test"], "split_mode": "trainvaltest", "sample_duration": 4.0,
    "embedding_type": "event", "prediction_type": "multilabel", "evaluation": ["event_onset_200ms_fms"],
    "evaluation_params": {"task_specific_param_grid": grid},
}  # fmt: skip
(folder / "task_metadata.json").write_text(json.dumps(metadata))
(folder / "labelvocabulary.csv").write_text("idx,label\n0,bus\n1,dog\n")

# Each clip has 80 frames of 50 ms, a bus from 0.5 to 1.5 s and a dog from 2.0 to 3.0 s; the embeddings show them.
rng = np.random.default_rng(0)
times = [25.0 + 50.0 * frame for frame in range(80)]
spans = {"bus": (500.0, 1500.0), "dog": (2000.0, 3000.0)}
for split in metadata["splits"]:
    rows, labels, places, events = [], [], [], {}
    for clip in range(10):
        name = f"{split}-{clip}.wav"
        events[name] = [{"label": label, "start": start, "end": end} for label, (start, end) in spans.items()]
        for time in times:
            active = [label for label, (start, end) in spans.items() if start <= time <= end]
            rows.append([float(label in active) for label in classes])
            labels.append(active)
            places.append((f"embeddings/events/{split}/{name}", time))
    embeddings = np.array(rows) + 0.1 * rng.standard_normal((len(rows), 2))
    embeddings.astype("float32").tofile(folder / f"{split}.embeddings.npy")
    (folder / f"{split}.embedding-dimensions.json").write_text(json.dumps(embeddings.shape))
    (folder / f"{split}.target-labels.pkl").write_bytes(pickle.dumps(labels))
    (folder / f"{split}.filename-timestamps.json").write_text(json.dumps(places))
    (folder / f"{split}.json").write_text(json.dumps(events))

command = [sys.executable, "-m", "heareval.predictions.runner", str(folder), "--grid-points", "1"]
run = subprocess.run(command, capture_output=True, text=True)
last = run.stderr.strip().splitlines()[-1]
written = (folder / "test.predicted-scores.json").exists()
validated = "BEST POSTPROCESSING" in run.stdout
print(f"validated: {validated}; exit {run.returncode}, {last}, test.predicted-scores.json was "
      f"{'' if written else 'not '}written")  # fmt: skip
assert validated and run.returncode != 0 and last.startswith("KeyError") and not written, "event tasks are scored now"
print("as described: trained, validated, and no score")
PY
