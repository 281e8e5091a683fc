#!/usr/bin/env bash
# X-ARES's kNN is not the cosine kNN it looks like: training vectors keep their length, and long ones win every vote.
#
# Versions: xares 0.1.3, torch 2.11.0, scikit-learn 1.9.1.
#
# Queries are scaled to unit length. Training vectors are to be scaled too, but after transposing them, along the axis
# of the clips: each feature gets unit length over the training set, and each clip keeps its own length. A query is then
# compared by a product that grows with the length of the training vector. Here one class has vectors ten times as long
# as the other, and the directions tell the classes apart perfectly: scikit-learn's cosine kNN is right for every query,
# X-ARES names the long class each time. A query that is itself a training vector does not find itself.
#
# Why it matters: embeddings whose length varies with loudness, duration or class (most that are not normalised) score
# below what their geometry gives, and scaling clips to unit length in the encoder changes the kNN score, which a cosine
# would not see. Compare encoders by kNN only if they normalise, or run a kNN of your own.
#
# Seen on 2026-11-28 (100 training clips, 100 queries, 2 classes):
#   scikit-learn, cosine, 10 neighbours: 1.00
#   X-ARES                             : 0.50, every answer is the class with long vectors
#   X-ARES, encoder of unit length     : 1.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  xares==0.1.3 torch==2.11.0 torchaudio==2.11.0 torchcodec==0.17.0 webdataset==1.0.2 pytorch-ignite==0.5.5 \
  transformers==5.24.0 jiwer==4.0.0 loguru==0.7.3 numpy==2.4.6 soundfile==0.14.0 scikit-learn==1.9.1
cd "$work"
export CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore OMP_NUM_THREADS=1
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from xares.trainer import KNN

print(*(f"{name} {version(name)}" for name in ("xares", "torch", "scikit-learn")), sep=", ")
rng = np.random.default_rng(0)


def clips(number):
    """Two classes in directions 90 degrees apart, with some noise; vectors of the second are ten times as long."""
    labels = np.arange(number) % 2
    vectors = np.eye(8)[labels] + 0.3 * np.ones(8) + 0.05 * rng.standard_normal((number, 8))
    return (vectors * np.where(labels, 10.0, 1.0)[:, None]).astype("float32"), labels


def xares(train, labels, queries):
    model = KNN(torch.tensor(train), torch.tensor(labels), nb_knn=10, num_classes=2)
    return model(torch.tensor(queries)).argmax(1).numpy()


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


train, labels = clips(100)
queries, truth = clips(100)
reference = KNeighborsClassifier(10, metric="cosine").fit(train, labels).score(queries, truth)
answers = xares(train, labels, queries)
scaled = (xares(unit(train), labels, unit(queries)) == truth).mean()
only = "every answer is the class with long vectors" if answers.all() else "both classes are named"
print(f"scikit-learn, cosine, 10 neighbours: {reference:.2f}")
print(f"X-ARES                             : {(answers == truth).mean():.2f}, {only}")
print(f"X-ARES, encoder of unit length     : {scaled:.2f}")
assert reference == 1 and scaled == 1
assert answers.all() and (answers == truth).mean() == 0.5, "X-ARES's kNN has changed"
print("as described: long vectors win")
PY
