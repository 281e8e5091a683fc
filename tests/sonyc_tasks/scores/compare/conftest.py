"""Result files as heareval writes them, and its scores without its code, for the tests of comparisons."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

TASK = "bees-v2-full"
Write = Callable[..., Path]

#: heareval's scores, without its code
PLAIN: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mAP": lambda target, prediction: float(average_precision_score(target, prediction, average="macro")),
    "aucroc": lambda target, prediction: float(roc_auc_score(target, prediction, average="macro")),
    "top1_acc": lambda target, prediction: float(np.mean(target.argmax(1) == prediction.argmax(1))),
    "jaccard_micro": lambda target, prediction: (
        (target & (prediction > 0.5)).sum() / (target | (prediction > 0.5)).sum()
    ),
}


def fold(seed: int, quality: float, clips: int = 30, classes: int = 3, labels: int = 0) -> dict[str, np.ndarray]:
    """One class a clip, each at least once; the same for every ``seed``; predictions better with ``quality``."""
    target = np.eye(classes, dtype=bool)[np.random.default_rng(labels).permutation(clips) % classes]
    noise = np.random.default_rng(seed + 100).random(target.shape)
    return {"target": target, "prediction": (quality * target + (1 - quality) * noise).astype(np.float32)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """What heareval's prediction runner leaves for one task of one module; folds are called fold00, fold01, …"""

    def run(
        module: str,
        *folds: Mapping[str, np.ndarray],
        task: str = TASK,
        metric: str = "top1_acc",
        root: str = "embeddings",
        scores: Mapping[str, float] | None = None,
        mode: str = "max",
        clips: str = "clip",
    ) -> Path:
        folder = tmp_path / root / module / task
        folder.mkdir(parents=True)
        names = ["test"] if len(folds) == 1 else [f"fold{k:02d}" for k in range(len(folds))]
        noted: dict[str, Any] = {}
        for name, part in zip(names, folds, strict=True):
            content = {key: torch.from_numpy(value).float() for key, value in part.items()}
            (folder / f"{name}.predictions.pkl").write_bytes(pickle.dumps(content))
            labels = {f"{clips}{row}.wav": [int(k)] for row, k in enumerate(part["target"].argmax(1))}
            (folder / f"{name}.json").write_text(json.dumps(labels))
            value = scores[name] if scores else PLAIN[metric](part["target"], part["prediction"])
            noted[name] = {"test_loss": 1.0, "test_score": value, f"test_{metric}": value, "test_d_prime": 0.1}
        if len(folds) > 1:
            noted["aggregated_scores"] = {"test_score_mean": np.mean([noted[name]["test_score"] for name in names])}
        noted |= {"hparams": {"lr": 0.1}, "postprocessing": [], "score_mode": mode}
        (folder / "test.predicted-scores.json").write_text(json.dumps(noted))
        return folder

    return run


@pytest.fixture(name="fold")
def fold_fixture() -> Callable[..., dict[str, np.ndarray]]:
    return fold


@pytest.fixture(params=list(PLAIN))
def metric(request: pytest.FixtureRequest) -> str:
    """Every score in turn."""
    return request.param


@pytest.fixture
def plain() -> Mapping[str, Callable[[np.ndarray, np.ndarray], float]]:
    """By metric, ``score(target, prediction)``, computed by other libraries."""
    return PLAIN
