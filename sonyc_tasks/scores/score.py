"""The score table of an embedding: how well each of its views tells the source and the sensor.

DSCΔ, the disentanglement score of a part, is its score on the task that it is meant for minus the other part's score on
that task: ``DSCΔ private = source(z_private) - source(z_shared)`` (micro Jaccard index) and
``DSCΔ shared = sensor(z_shared) - sensor(z_private)`` (accuracy). Positive: the parts hold what their names say.

The paper's numbers (arXiv 2510.02500, Table 1, source Jaccard / sensor accuracy) are for orientation only: multi-view
at best .633 / .735, codec latents without training .583 / .684. Its probes, splits and average of the Jaccard index are
not described in enough detail to compute the same scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sonyc_tasks.scores.metrics import accuracy, bootstrap, jaccard, mean_average_precision, undefined_classes
from sonyc_tasks.scores.results import VIEWS, Predictions
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK

#: A class counts as predicted where its probability is above this.
THRESHOLD = 0.5

Metric = Callable[[np.ndarray, np.ndarray], float]


def _jaccard(average: str) -> Metric:
    return lambda target, prediction: jaccard(target, prediction > THRESHOLD, average)


#: Field of `ViewScores` → (task, metric of targets and predictions, both [clip, class]).
MEASURES: dict[str, tuple[str, Metric]] = {
    "source_jaccard_micro": (SOURCE_TASK, _jaccard("micro")),
    "source_jaccard_macro": (SOURCE_TASK, _jaccard("macro")),
    "source_jaccard_samples": (SOURCE_TASK, _jaccard("samples")),
    "source_map": (SOURCE_TASK, mean_average_precision),
    "sensor_accuracy": (SENSOR_TASK, accuracy),
}


@dataclass(frozen=True)
class Estimate:
    """A score on ``clips`` test clips with its 95 % bootstrap interval over them (None if it would mean nothing)."""

    value: float
    low: float | None
    high: float | None
    clips: int


@dataclass(frozen=True)
class ViewScores:
    """All scores of one view; None if the task has no results."""

    view: str
    source_jaccard_micro: Estimate | None = None
    source_jaccard_macro: Estimate | None = None
    source_jaccard_samples: Estimate | None = None
    source_map: Estimate | None = None
    sensor_accuracy: Estimate | None = None


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one model.

    Attributes:
        views: One row per view that has results.
        dsc_private, dsc_shared: None if a view or task that they need has no results.
        notes: Sentences on what limits the scores.
    """

    model: str
    views: tuple[ViewScores, ...]
    dsc_private: Estimate | None
    dsc_shared: Estimate | None
    notes: tuple[str, ...] = ()


def score_table(
    model: str, views: Mapping[str, Mapping[str, Predictions]], *, resamples: int = 1000, seed: int = 0
) -> ScoreTable:
    """Score one model.

    Args:
        model: Its name.
        views: View → task name → predictions, as in `results.read_scores`.
        resamples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.
    """
    rows = []
    for view in (view for view in VIEWS if view in views):
        scores = {}
        for measure, (task, metric) in MEASURES.items():
            if task in views[view]:
                scores[measure] = _estimate(views[view][task], metric, resamples, seed)
        rows.append(ViewScores(view, **scores))

    def dsc(measure: str, own: str, other: str) -> Estimate | None:
        task, metric = MEASURES[measure]
        first, second = (views.get(view, {}).get(task) for view in (own, other))
        return None if first is None or second is None else _difference(first, second, metric, resamples, seed)

    return ScoreTable(
        model,
        tuple(rows),
        dsc_private=dsc("source_jaccard_micro", "private", "shared"),
        dsc_shared=dsc("sensor_accuracy", "shared", "private"),
        notes=_notes(views),
    )


def classes_without_clips(given: Predictions) -> str:
    """Return a sentence on the classes that mAP counts as 0 and on the best mAP they leave; "" if there are none."""
    absent, _ = undefined_classes(given.target)
    if not absent.any():
        return ""
    best = mean_average_precision(given.target, given.target.astype(float))
    return (
        f"no test clip has {given.names(absent)}, which mAP counts as 0: perfect predictions would reach {best:.3f}, "
        "not 1"
    )


def _notes(views: Mapping[str, Mapping[str, Predictions]]) -> tuple[str, ...]:
    told: dict[str, list[str]] = {}
    for view in (view for view in VIEWS if SOURCE_TASK in views.get(view, {})):
        told.setdefault(classes_without_clips(views[view][SOURCE_TASK]), []).append(view)
    return tuple(f"Source mAP of {', '.join(own)}: {sentence}." for sentence, own in told.items() if sentence)


def _estimate(given: Predictions, metric: Metric, resamples: int, seed: int) -> Estimate:
    value = metric(given.target, given.prediction)
    interval = bootstrap(lambda rows: metric(given.target[rows], given.prediction[rows]), len(given), resamples, seed)
    return Estimate(value, *interval, clips=len(given))


def _difference(first: Predictions, second: Predictions, metric: Metric, resamples: int, seed: int) -> Estimate:
    """Compute first minus second; the interval is paired, so it needs the same clips in the same order."""
    value = metric(first.target, first.prediction) - metric(second.target, second.prediction)
    if not np.array_equal(first.target, second.target):
        return Estimate(value, None, None, clips=min(len(first), len(second)))

    def of(rows: np.ndarray) -> float:
        target = first.target[rows]
        return metric(target, first.prediction[rows]) - metric(target, second.prediction[rows])

    return Estimate(value, *bootstrap(of, len(first), resamples, seed), clips=len(first))
