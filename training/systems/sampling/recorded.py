"""Source and sensor of recorded clips, by a linear probe: a second opinion to the probes on generated sounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hear_multiview
from hear_multiview.embedder import Embedder
from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.files import read_json_object, write_json
from sonyc_tasks.scores.metrics import accuracy, mean_average_precision
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.frame_probe import frame_probe, frame_statistics
from training.probes.heareval_jobs import Submission
from training.probes.rows import LOG_MEL

#: Measure to the task and the score of its predictions.
_SCORES = {"recorded_source": (SOURCE_TASK, mean_average_precision), "recorded_sensor": (SENSOR_TASK, accuracy)}


def probe_recorded(
    clips: Sequence[Clip], rows: Sequence[Submission], folder: Path, frontend: str, seed: int
) -> dict[str, dict[str, float]]:
    """Scores of logistic regression on the mean and deviation of each clip's frames, in 5 folds drawn from ``seed``.

    Args:
        clips: of a data set in SONYC's layout.
        rows: what to probe; the row of log-mel statistics stands for the frames of ``frontend`` themselves.
        folder: keeps the scores of every row, which are then not computed again.

    Returns:
        Label of the row → measure, of `RECORDED` → score.

    Raises:
        ValueError: an audio file cannot be read.
    """
    found = {}
    for row in rows:
        kept = folder / f"{row.label}.json"
        if not kept.exists():
            predicted = frame_probe(frame_statistics(_model(row, frontend), clips), clips, seed=seed)
            scores = {}
            for name, (task, score) in _SCORES.items():
                scores[name] = float(score(predicted[task].target, predicted[task].prediction))
            folder.mkdir(parents=True, exist_ok=True)
            write_json(kept, scores)
        found[row.label] = {name: float(score) for name, score in read_json_object(kept).items()}
    return found


def _model(row: Submission, frontend: str) -> Embedder:
    if row.label == LOG_MEL:
        return Embedder(load_frontend(frontend), None, "frontend")
    return hear_multiview.load_model(row.model)
