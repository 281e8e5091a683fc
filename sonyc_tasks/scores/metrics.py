"""The scores of scene tasks, on arrays over test clips, and how sure they are.

Targets and predictions are [clip, class]. Labels are boolean; for the rank-based and the single-label score,
predictions are real numbers, larger where the class is likelier. All sums are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def undefined_classes(target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes that a ranking score cannot measure, of bool ``target`` [clip, class]: two masks [class].

    The first is of classes without a positive clip, of which heareval's mAP makes 0; the second of those without a
    negative one. For either, heareval's aucroc and d_prime are NaN as a whole.
    """
    positive = target.sum(axis=0)
    return positive == 0, positive == len(target)


def accuracy(target: np.ndarray, prediction: np.ndarray) -> float:
    """Share of clips whose largest ``prediction`` is at their class; one-hot ``target``, real ``prediction``."""
    return float(np.mean(target.argmax(axis=1) == prediction.argmax(axis=1)))


def area_under_roc(target: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over classes of the area under the ROC curve, as heareval's aucroc: boolean ``target``, real ``prediction``.

    The area is the chance that a positive clip is predicted above a negative one, equal predictions counting half. A
    class with positive clips only, or with negative ones only, has none and is left out; NaN if no class has one, as
    heareval has it (where it makes NaN of the whole for a single such class).

    >>> area_under_roc(np.array([[1], [0], [1]], bool), np.array([[0.9], [0.5], [0.5]]))
    0.75
    """
    areas = []
    for labels, values in zip(target.T, prediction.T, strict=True):
        above, below = values[labels], np.sort(values[~labels])
        if len(above) and len(below):
            # left counts the negatives that are smaller, right also the equal ones: their mean takes half of these
            smaller = (np.searchsorted(below, above, side) for side in ("left", "right"))
            areas.append(sum(float(found.mean()) for found in smaller) / 2 / len(below))
    return float(np.mean(areas)) if areas else float("nan")


def weighted(metric: str, target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A score of many resamples at once, float64 [draw]: in each, clip i counts ``weights[i, draw]`` times.

    Weights that count how often a clip was drawn make it the score of a bootstrap resample. With the predictions of two
    models one below the other and weights of 0 and 1, one of each clip's two, it is the score of a mixture of the two.

    Args:
        metric: "mAP", "aucroc", "top1_acc", "jaccard_micro", "jaccard_macro" or "jaccard_samples"; the functions of
            this module say how each is defined.
        target: bool [clip, class].
        prediction: [clip, class]; real, for the Jaccard index bool.
        weights: whole numbers from 0 [clip, draw], with the same sum in every draw; float64 is fastest.

    Raises:
        ValueError: there is no such metric.
    """
    if metric in ("mAP", "aucroc"):
        scores = [_ranked(metric, *columns, weights) for columns in zip(target.T, prediction.T, strict=True)]
        if metric == "mAP":
            return np.mean(scores, axis=0)
        there = np.count_nonzero(~np.isnan(scores), axis=0)
        return np.where(there > 0, np.nansum(scores, axis=0) / np.maximum(there, 1), np.nan)
    if metric == "top1_acc":
        right = target.argmax(axis=1) == prediction.argmax(axis=1)
        return right.astype(np.float64) @ weights / weights.sum(axis=0)
    if metric not in [f"jaccard_{average}" for average in JACCARD_AVERAGES]:
        raise ValueError(f"the score {metric!r} cannot be computed from predictions here; give one that can")
    both, either = (target & prediction).astype(np.float64), (target | prediction).astype(np.float64)
    if metric == "jaccard_samples":
        sizes = either.sum(axis=1)
        return np.where(sizes == 0, 1.0, both.sum(axis=1) / np.maximum(sizes, 1)) @ weights / weights.sum(axis=0)
    if metric == "jaccard_micro":
        both, either = both.sum(axis=1, keepdims=True), either.sum(axis=1, keepdims=True)
    both, either = both.T @ weights, either.T @ weights
    somewhere = np.count_nonzero(either, axis=0)
    return np.where(somewhere == 0, 1.0, (both / np.maximum(either, 1)).sum(axis=0) / np.maximum(somewhere, 1))


def holm(p: Sequence[float]) -> list[float]:
    """Each p value corrected for all of them after Holm: the k-th smallest of m is max_{j ≤ k} (m - j + 1) p_(j), at
    most 1.

    >>> holm([0.01, 0.03, 0.5])
    [0.03, 0.06, 0.5]
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = largest
    return corrected


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


def _ranked(metric: str, target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`weighted` for one class: ``target`` bool [clip], ``prediction`` [clip], ``weights`` [clip, draw] to [draw].

    The order of the clips is the same in every draw, so one walk down it serves all of them, a row of draws at a time.
    """
    order = np.argsort(-prediction, kind="stable")
    ranked = prediction[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1
    hits, area, term = np.zeros((3, weights.shape[1]))
    # Not 0, so that nothing among nothing is 0 and not NaN; gone for good with the first clip that counts.
    passed = np.full_like(hits, 1e-300)
    start = 0
    for end in ends.tolist():  # a run of clips with equal predictions
        run, start = order[start:end], end
        found = run[target[run]]
        misses_above = passed - hits if len(found) and metric == "aucroc" else 0.0
        for clip in run.tolist():
            passed += weights[clip]
        if not len(found):
            continue
        gained = weights[found[0]] if len(found) == 1 else weights[found].sum(axis=0)
        hits += gained
        if metric == "mAP":
            np.divide(hits, passed, out=term)  # precision
        else:
            np.add(misses_above, passed - hits, out=term)  # twice the negative clips above, of equal ones the half
        term *= gained
        area += term
    if metric == "mAP":
        return area / np.maximum(hits, 1)
    pairs = hits * (passed - hits)
    return np.where(pairs == 0, np.nan, 1 - area / 2 / np.maximum(pairs, 1))
