#!/usr/bin/env bash
# heareval stops a probe at its first validation where d_prime or aucroc comes first, and reports the untrained score.
#
# Versions: heareval 2021.1.3, pytorch-lightning 1.9.5, torch 2.11.0, scikit-learn 1.9.1.
#
# Lightning's early stopping ends a training when the watched score is not finite. heareval watches the first score of
# the task's `evaluation`. Two ordinary cases make it NaN or infinite:
# - a class that no clip of the validation set has: the score is NaN;
# - a task that is too easy: a class is told apart perfectly, its AUC is 1 and its d_prime infinite.
# The probe then ends after three epochs (the first validation), whatever the grid: the validation score of each grid
# point is -infinity, the best of them is the first, the exit code is 0, and the score file looks like any other.
#
# Why it matters: the better the embeddings, the worse the score: in the second case classes that are far apart get
# chance. Look for "validation_score": -Infinity in test.predicted-scores.json, put mAP or top1_acc first in
# `evaluation`, and see that every class is in the validation set.
#
# Seen on 2026-11-28 (300 training clips, 3 classes, chance 0.333):
#   task                               first score   exit   epoch   validation score   test accuracy
#   every class in valid                  top1_acc      0      29              0.733           0.717
#   a class absent from valid              d_prime      0       2               -inf           0.283
#   a class absent from valid               aucroc      0       2               -inf           0.283
#   classes far apart                     top1_acc      0      14              1.000           1.000
#   classes far apart                      d_prime      0       2               -inf           0.333
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


classes = ["bus", "dog", "rain"]


def make(rng, clips, noise, apart, present):
    labels = [present[i % len(present)] for i in range(clips)]
    centres = np.eye(3)[[classes.index(label) for label in labels]] * apart
    return centres + noise * rng.standard_normal((clips, 3)), labels


def case(title, score, apart=1.0, noise=0.7, in_valid=classes):
    rng = np.random.default_rng(0)
    sets = {name: make(rng, n, noise, apart, seen) for name, n, seen in
            (("train", 300, classes), ("valid", 60, in_valid), ("test", 60, classes))}  # fmt: skip
    folder = Path("embeddings") / f"{title}-{score}".replace(" ", "-")
    write_task(folder, classes, list(dict.fromkeys([score, "top1_acc"])), sets)
    code, _, scores = predict(folder)
    value, accuracy = scores["validation_score"], scores["test_top1_acc"]
    print(f"{title:34} {score:>11} {code:6d} {scores['epoch']:7d} {value:18.3f} {accuracy:15.3f}", flush=True)
    assert code == 0
    return value, scores["epoch"], accuracy


print("task                               first score   exit   epoch   validation score   test accuracy")
good = case("every class in valid", "top1_acc")
absent = [case("a class absent from valid", score, in_valid=classes[:2]) for score in ("d_prime", "aucroc")]
easy = case("classes far apart", "top1_acc", apart=9.0, noise=0.1)
perfect = case("classes far apart", "d_prime", apart=9.0, noise=0.1)

assert np.isfinite(good[0]) and good[2] > 0.6 and easy[2] > 0.9
for value, epoch, accuracy in (*absent, perfect):
    assert value == -np.inf and epoch == 2 and accuracy < 0.6, "the probe is trained to the end now"
print("as described: stopped at the first validation, exit 0, with a score")
PY
