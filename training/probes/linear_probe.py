"""Logistic regression on embeddings: the probe without choices of its own.

heareval's probes start from drawn weights and stop early; on small tasks what that draws can be larger than what two
embeddings differ by. This probe has one solution, found in seconds, and stands beside heareval's in the results.
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

from sonyc_tasks.scores.results import Predictions
from training.probes.embeddings import read_embeddings

#: Inverse strength of the regularisation, for standardised features.
C = 0.1
#: What a folder of embeddings keeps of this probe.
FILE = "test.linear.npz"


def regression() -> Pipeline:
    """The probe, untrained: each feature standardised, then logistic regression."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500))


def linear_predictions(place: Path) -> Predictions:
    """Of the embeddings of one scene task, as heareval leaves them in ``place``: trained on its train and valid clips,
    predicted for its test clips. Written down beside them, with a checksum of what they were made of, and read from
    there another time, if that is still the same."""
    kept = place / FILE
    train, test = (_read(place, splits) for splits in (("train", "valid"), ("test",)))
    one_of_many = json.loads((place / "task_metadata.json").read_text())["prediction_type"] == "multiclass"
    made_of = _digest(*train, *test, np.array([one_of_many, C]))
    found = _kept(kept, made_of)
    if found is None:
        predict = _one_class if one_of_many else _each_class
        found = Predictions(test[1], predict(*train, test[0]))
        part = kept.with_suffix(".part.npz")
        np.savez(part, target=found.target, prediction=found.prediction, made_of=made_of)
        part.replace(kept)
    return found


def _kept(path: Path, made_of: str) -> Predictions | None:
    """What an earlier call wrote to ``path``, if that is whole and was made of the same; else None."""
    try:
        with np.load(path) as found:
            same = "made_of" in found and str(found["made_of"]) == made_of
            return Predictions(found["target"], found["prediction"]) if same else None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def _digest(*arrays: np.ndarray) -> str:
    """A sha256 of ``arrays``."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _one_class(x: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Probabilities [clip, class] of ``test`` [clip, dim], from ``x`` and bool ``labels`` [clip, class], one a clip."""
    fitted = regression().fit(x, labels.argmax(1))
    probabilities = np.zeros((len(test), labels.shape[1]))
    probabilities[:, fitted.classes_] = fitted.predict_proba(test)
    return probabilities


def _each_class(x: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The same, each class by itself; one that all or none of the clips have keeps that share."""
    columns = [
        regression().fit(x, of_class).predict_proba(test)[:, 1]
        if 0 < of_class.sum() < len(of_class)
        else np.full(len(test), of_class.mean())
        for of_class in labels.T
    ]
    return np.stack(columns, axis=1)


def _read(place: Path, splits: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings [clip, dim] and bool labels [clip, class] of some splits."""
    with (place / "labelvocabulary.csv").open(encoding="utf-8", newline="") as file:
        classes = [row["label"] for row in csv.DictReader(file)]
    files, labels = [], []
    for split in splits:
        for name, own in json.loads((place / f"{split}.json").read_text()).items():
            files.append(place / split / f"{name}.embedding.npy")
            labels.append([label in own for label in classes])
    return read_embeddings(files), np.array(labels)
