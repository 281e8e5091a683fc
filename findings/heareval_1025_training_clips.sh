#!/usr/bin/env bash
# heareval cannot train its probe on 1,025 clips, nor on 2,049: the last batch has one clip, and BatchNorm refuses it.
#
# Versions: heareval 2021.1.3, pytorch-lightning 1.9.5, torch 2.11.0.
#
# Every hidden layer of the default grids has BatchNorm, batches hold 1,024 clips, and the last batch is kept. A
# training set of k * 1,024 + 1 clips raises "Expected more than 1 value per channel when training", after all clips
# have been embedded. Of a task with folds, the training set is all folds but two; of an event task, it is frames.
#
# Why it matters: the message names neither clips nor batches, and the embeddings took hours. A task with folds can fail
# at its last fold, a change of hop size makes an event task fail. Leave one clip out, or give the task another
# batch_size in evaluation_params.task_specific_param_grid.
#
# Seen on 2026-11-28:
#   1024 training clips: exit 0, test accuracy 0.500
#   1025 training clips: exit 1, ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, 16])
#   1026 training clips: exit 0, test accuracy 0.550
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


codes = {}
for clips in (1024, 1025, 1026):
    rng = np.random.default_rng(0)
    sets = {name: (rng.standard_normal((n, 4)), [("bus", "dog")[i % 2] for i in range(n)])
            for name, n in (("train", clips), ("valid", 20), ("test", 20))}  # fmt: skip
    folder = Path("embeddings") / f"clips-{clips}"
    write_task(folder, ["bus", "dog"], ["top1_acc"], sets, max_epochs=3)
    code, last, scores = predict(folder)
    codes[clips] = code, last
    said = f"test accuracy {scores['test_top1_acc']:.3f}" if scores else last
    print(f"{clips} training clips: exit {code}, {said}", flush=True)

assert codes[1024][0] == codes[1026][0] == 0
assert codes[1025][0] != 0 and "more than 1 value per channel" in codes[1025][1], "1,025 clips can be trained on now"
print("as described: one clip too many")
PY
