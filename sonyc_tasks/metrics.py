"""The scores of the two tasks, on arrays over test clips, and how sure they are.

Targets and predictions are [clip, class]. Labels are boolean; for the rank-based and the single-label score,
predictions are real numbers, larger where the class is likelier. All sums are float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

JACCARD_AVERAGES = ("micro", "macro", "samples")


def jaccard(target: np.ndarray, prediction: np.ndarray, average: str) -> float:
    """Jaccard index, |both| / |either|, of boolean ``target`` and ``prediction`` [clip, class].

    ``average``: "micro", all pairs of clip and class as one set; "macro", the mean over classes of the index of the
    class's clips; "samples", the mean over clips of the index of the clip's classes.

    Two empty sets are equal and count as 1, so a clip without labels for which none is predicted counts as 1 in
    "samples", and no label anywhere as 1 in "micro". "macro" leaves out a class that is in no target and no prediction,
    about which the clips say nothing; as 1, rare classes would lift the mean wherever a resample misses them.

    >>> jaccard(np.array([[1, 0], [0, 0]], bool), np.array([[1, 1], [0, 0]], bool), "samples")
    0.75
    """
    if average not in JACCARD_AVERAGES:
        raise ValueError(f"there is no Jaccard average {average!r}; choose one of {', '.join(JACCARD_AVERAGES)}")
    axis = {"micro": None, "macro": 0, "samples": 1}[average]
    both = np.atleast_1d(np.count_nonzero(target & prediction, axis=axis))
    either = np.atleast_1d(np.count_nonzero(target | prediction, axis=axis))
    if average == "macro" and either.any():
        both, either = both[either > 0], either[either > 0]
    return float(np.mean(np.where(either == 0, 1.0, both / np.maximum(either, 1))))


def mean_average_precision(target: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over classes of the average precision, as heareval's mAP: boolean ``target``, real ``prediction``.

    Average precision is the sum, over the distinct predicted values from the top, of precision times the gain in
    recall. A class without a positive clip counts as 0, which is what heareval makes of it.

    >>> mean_average_precision(np.array([[1], [0], [1]], bool), np.array([[0.9], [0.8], [0.1]]))
    0.8333333333333333
    """
    scores = (_average_precision(target[:, k], prediction[:, k]) for k in range(target.shape[1]))
    return sum(scores) / target.shape[1]


def accuracy(target: np.ndarray, prediction: np.ndarray) -> float:
    """Share of clips whose largest ``prediction`` is at their class; one-hot ``target``, real ``prediction``."""
    return float(np.mean(target.argmax(axis=1) == prediction.argmax(axis=1)))


def bootstrap(
    statistic: Callable[[np.ndarray], float], n_clips: int, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of ``n_clips`` test clips, by drawing clips with replacement.

    ``statistic`` is given the indices [n_clips] of one resample. A difference of two models on the same clips is one
    statistic too, and its interval is then the paired one. The interval says how far the choice of test clips matters,
    not that of sensors or of training seeds.
    """
    draw = np.random.default_rng(seed)
    values = [statistic(draw.integers(n_clips, size=n_clips)) for _ in range(resamples)]
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _average_precision(target: np.ndarray, prediction: np.ndarray) -> float:
    order = np.argsort(-prediction, kind="stable")
    hits = np.cumsum(target[order])
    if hits[-1] == 0:
        return 0.0
    ranked = prediction[order]
    # Clips with equal predictions come in together: only the last of each run is a point of the curve.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return float(np.sum(np.diff(hits[ends], prepend=0) * hits[ends] / (ends + 1)) / hits[-1])
