"""What a linear probe finds in the frames of a model, by their mean and their deviation over a clip.

heareval's probes take a scene embedding, which is a mean; what a frame's mean does not hold, its deviation may. This
one is also a look that takes a minute: logistic regression, every clip tested once in k folds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tqdm import tqdm

from hear_multiview.embedder import Embedder
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.scores.results import Predictions
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.linear_probe import regression


def frame_statistics(model: Embedder, clips: Sequence[Clip]) -> np.ndarray:
    """Mean ⊕ standard deviation over the frames of each clip, [clip, 2 · dim]."""
    rows = []
    for clip in tqdm(clips, desc=f"frames, {model.frontend.name}, {model.view}", unit="clip", leave=False):
        audio = torch.from_numpy(read_mono(clip.path, model.sample_rate))[None]
        with torch.no_grad():
            frames = model.frames(audio)[0][0]
        rows.append(torch.cat([frames.mean(0), frames.std(0, correction=0)]).numpy())
    return np.stack(rows)


def frame_probe(x: np.ndarray, clips: Sequence[Clip], folds: int = 5, seed: int = 0) -> dict[str, Predictions]:
    """Predictions for sensor and source of every clip by models that were trained on the other folds.

    Args:
        x: features [clip, dim]. folds: stratified by sensor, drawn with ``seed``.

    Returns:
        by task; sources are those with at least ``folds`` clips and not on all of them.
    """
    sensors, sensor = np.unique([clip.sensor for clip in clips], return_inverse=True)
    sources = np.array([[name in clip.sources for name in COARSE] for clip in clips])
    sources = sources[:, (sources.sum(0) >= folds) & (sources.sum(0) <= len(clips) - folds)]
    divided = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, sensor))

    def probabilities(labels: np.ndarray) -> np.ndarray:
        return cross_val_predict(regression(), x, labels, cv=divided, method="predict_proba")

    of_sources = [probabilities(column)[:, 1] for column in sources.T]
    return {
        SENSOR_TASK: Predictions(np.eye(len(sensors), dtype=bool)[sensor], probabilities(sensor)),
        SOURCE_TASK: Predictions(sources, np.stack(of_sources, axis=1)),
    }
