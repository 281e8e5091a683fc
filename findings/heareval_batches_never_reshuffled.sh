#!/usr/bin/env bash
# heareval never reshuffles: every epoch of every probe has the same batches in the same order.
#
# Versions: heareval 2021.1.3, pytorch-lightning 1.9.5, torch 2.11.0.
#
# The loader shuffles where the set's name equals "train". It is given a list of names, ["train"], which equals no
# string, and the folds of a k-fold task never had that name. The order is that of a shuffle with seed 0 when the clips
# were embedded, the same for every model, grid point and epoch. Lightning only logs a general hint.
#
# Why it matters: a probe of one's own that shuffles, as one would assume heareval's does, is another probe and gets
# other numbers. With batches of 1,024, BatchNorm sees the same neighbours for up to 500 epochs. Another seed redraws
# the weights and the dropout, never the batches, so that a spread over seeds does not hold this part of the chance.
#
# Seen on 2026-11-28 (2,500 training clips, 6 epochs): 6 epochs with 1 order of batches: 1024 + 1024 + 452 clips
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

print(*(f"{name} {version(name)}" for name in ("heareval", "pytorch-lightning", "torch", "scikit-learn")), sep=", ")

def write_split(folder, name, embeddings, labels):
    """What heareval.embeddings.runner leaves of one set: the array, its shape and the labels, and the task's json."""
    embeddings.astype("float32").tofile(folder / f"{name}.embeddings.npy")
    (folder / f"{name}.embedding-dimensions.json").write_text(json.dumps(embeddings.shape))
    (folder / f"{name}.target-labels.pkl").write_bytes(pickle.dumps(labels))
    (folder / f"{name}.json").write_text("{}")


def write_task(folder, classes, evaluation, sets, **grid):
    folder.mkdir(parents=True)
    grid = {"hidden_layers": [1], "hidden_dim": [16], "lr": [1e-2], "max_epochs": [30]} | {k: [v] for k, v in grid.items()}
    metadata = {
        "task_name": folder.name, "splits": list(sets), "split_mode": "trainvaltest", "embedding_type": "scene",
        "prediction_type": "multiclass", "sample_duration": 1.0, "evaluation": evaluation,
        "evaluation_params": {"task_specific_param_grid": grid},
    }  # fmt: skip
    (folder / "task_metadata.json").write_text(json.dumps(metadata))
    (folder / "labelvocabulary.csv").write_text("idx,label\n" + "".join(f"{i},{c}\n" for i, c in enumerate(classes)))
    for name, (embeddings, labels) in sets.items():
        write_split(folder, name, embeddings, [[label] for label in labels])


def predict(folder, *options):
    """Exit code, last line of what was said, and the test scores of stock heareval."""
    command = [sys.executable, "-m", "heareval.predictions.runner", str(folder), "--grid-points", "1", *options]
    run = subprocess.run(command, capture_output=True, text=True)
    scores = folder / "test.predicted-scores.json"
    last = run.stderr.strip().splitlines()[-1]
    return run.returncode, last, json.loads(scores.read_text())["test"] if scores.exists() else None


rng = np.random.default_rng(0)
sets = {}
for name, n in (("train", 2500), ("valid", 20), ("test", 20)):
    embeddings = rng.standard_normal((n, 4))
    embeddings[:, 0] = np.arange(n)  # the clip's number, to know it again
    sets[name] = embeddings, [("bus", "dog")[i % 2] for i in range(n)]
folder = Path("embeddings/order")
write_task(folder, ["bus", "dog"], ["top1_acc"], sets, max_epochs=6)

# The stock runner, with a look at each training batch.
watched = """
import json, sys
from heareval.predictions import task_predictions
from heareval.predictions.runner import runner

step, seen = task_predictions.AbstractPredictionModel.training_step, []

def look(self, batch, index):
    seen.append([self.current_epoch, index, batch[0][:, 0].int().tolist()])
    return step(self, batch, index)

task_predictions.AbstractPredictionModel.training_step = look
try:
    runner(sys.argv[1:])
finally:
    json.dump(seen, open("seen.json", "w"))
"""
run = subprocess.run([sys.executable, "-c", watched, str(folder), "--grid-points", "1"], capture_output=True, text=True)
assert run.returncode == 0, run.stderr
epochs = {}
for epoch, _, clips in json.loads(Path("seen.json").read_text()):
    epochs.setdefault(epoch, []).append(tuple(clips))
orders = {tuple(batches) for batches in epochs.values()}
sizes = " + ".join(str(len(batch)) for batch in epochs[0])
print(f"{len(epochs)} epochs with {len(orders)} order of batches: {sizes} clips")
first = [clip for batch in epochs[0] for clip in batch]
assert len(epochs) == 6 and len(orders) == 1 and first == list(range(2500)), "the batches are shuffled now"
print("as described: the order on disk, in every epoch")
PY
