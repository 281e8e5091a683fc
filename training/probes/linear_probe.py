"""A linear probe of scene embeddings: logistic regression, which has a single solution.

heareval's probes start from random weights and stop early; on small tasks, that randomness can exceed the difference
between two embeddings. This probe has a unique optimum, takes seconds, and is reported next to heareval's.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sonyc_tasks.files import replacing
from sonyc_tasks.scores.results import Predictions
from training.probes.embeddings import read_embeddings

#: Inverse regularisation strength, for standardised features.
C = 0.1
#: File with the cached predictions, in the folder of the embeddings.
FILE = "test.linear.npz"


def regression() -> Pipeline:
    """Build the untrained probe: standardise each feature, then apply L2-regularised logistic regression."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500))


def linear_predictions(place: Path) -> Predictions:
    """Train the probe on a task's train and valid clips and predict its test clips.

    The predictions are cached in the folder, with a checksum of the embeddings and labels; they are read from the cache
    for as long as that checksum matches.

    Args:
        place: folder of one scene task's embeddings, as heareval writes it.

    Returns:
        Targets (bool) and probabilities of the test clips, each [clip, class].

    Raises:
        FileNotFoundError: an embedding is missing.
        ValueError: an embedding is damaged.
    """
    cached = place / FILE
    train, test = (_read(place, splits) for splits in (("train", "valid"), ("test",)))
    one_of_many = json.loads((place / "task_metadata.json").read_text())["prediction_type"] == "multiclass"
    made_of = _digest(*train, *test, np.array([one_of_many, C]))
    found = _read_cached(cached, made_of)
    if found is None:
        predict = _multiclass if one_of_many else _multilabel
        found = Predictions(test[1], predict(*train, test[0]))
        with replacing(cached) as part:
            np.savez(part, target=found.target, prediction=found.prediction, made_of=made_of)
    return found


def _read_cached(path: Path, made_of: str) -> Predictions | None:
    """Return the cached predictions, or None if they are missing, damaged or made of something else."""
    try:
        with np.load(path) as found:
            same = "made_of" in found and str(found["made_of"]) == made_of
            return Predictions(found["target"], found["prediction"]) if same else None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def _digest(*arrays: np.ndarray) -> str:
    """Return the sha256 of the arrays' types, shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _multiclass(x: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Fit one classifier on ``x`` [clip, dim] and ``labels`` (bool [clip, class], one per clip); return the
    probabilities [clip, class] of ``test`` [clip, dim]."""
    fitted = regression().fit(x, labels.argmax(1))
    probabilities = np.zeros((len(test), labels.shape[1]))
    probabilities[:, fitted.classes_] = fitted.predict_proba(test)
    return probabilities


def _multilabel(x: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Like `_multiclass`, with one classifier per class. A class that all or none of the clips have is predicted with
    that constant, 1 or 0."""
    columns = [
        regression().fit(x, column).predict_proba(test)[:, 1]
        if 0 < column.sum() < len(column)
        else np.full(len(test), column.mean())
        for column in labels.T
    ]
    return np.stack(columns, axis=1)


def _read(place: Path, splits: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Read the embeddings [clip, dim] and labels (bool [clip, class]) of some splits."""
    with (place / "labelvocabulary.csv").open(encoding="utf-8", newline="") as file:
        classes = [row["label"] for row in csv.DictReader(file)]
    files, labels = [], []
    for split in splits:
        for name, own in json.loads((place / f"{split}.json").read_text()).items():
            files.append(place / split / f"{name}.embedding.npy")
            labels.append([label in own for label in classes])
    return read_embeddings(files), np.array(labels)
