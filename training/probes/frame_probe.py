"""A linear probe of a model's frames, summarised by their mean and standard deviation over each clip.

heareval probes a scene embedding, usually the mean over time; the standard deviation can carry what the mean loses.
This probe is logistic regression with k-fold cross-validation and takes about a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tqdm import tqdm

from hear_multiview.api import get_scene_embeddings
from hear_multiview.embedder import Embedder
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.scores.results import Predictions
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.linear_probe import regression


def frame_statistics(model: Embedder, clips: Sequence[Clip]) -> np.ndarray:
    """Compute the mean and the standard deviation over time of each clip's frames.

    Where a model's own scene embeddings hold deviations, of all its parts or of some, they are taken as they are.

    Args:
        model: model whose frame embeddings have ``dim`` dimensions.
        clips: clips to embed; their audio is resampled to the model's rate.

    Returns:
        Means, then standard deviations, part by part of the embedding, float32 [clip, 2 · dim or fewer].
    """
    if "statistics" not in model.pools.values():
        model = Embedder(model.frontend, model.encoder, model.view, model.cache, pool="statistics")
    rows = []
    for clip in tqdm(clips, desc=f"frames, {model.frontend.name}, {model.view}", unit="clip", leave=False):
        audio = torch.from_numpy(read_mono(clip.path, model.sample_rate))[None]
        rows.append(get_scene_embeddings(audio, model)[0].numpy())
    return np.stack(rows)


def frame_probe(x: np.ndarray, clips: Sequence[Clip], folds: int = 5, seed: int = 0) -> dict[str, Predictions]:
    """Predict the sensor and the sources of every clip with probes trained on the other folds.

    Args:
        x: features, [clip, dim].
        clips: the clips, in the order of ``x``.
        folds: number of folds, stratified by sensor.
        seed: seed of the division into folds.

    Returns:
        Predictions by task. Only sources that at least ``folds`` clips have, and at least ``folds`` lack, are included.
    """
    sensors, sensor = np.unique([clip.sensor for clip in clips], return_inverse=True)
    sources = np.array([[name in clip.sources for name in COARSE] for clip in clips])
    sources = sources[:, (sources.sum(0) >= folds) & (sources.sum(0) <= len(clips) - folds)]
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, sensor))

    def probabilities(labels: np.ndarray) -> np.ndarray:
        return cross_val_predict(regression(), x, labels, cv=splits, method="predict_proba")

    return {
        SENSOR_TASK: Predictions(np.eye(len(sensors), dtype=bool)[sensor], probabilities(sensor)),
        SOURCE_TASK: Predictions(sources, np.stack([probabilities(column)[:, 1] for column in sources.T], axis=1)),
    }
