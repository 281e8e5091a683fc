"""The scores of scene tasks, on arrays over test clips, and their uncertainty.

Targets and predictions are [clip, class]. Targets are boolean. For rank-based and single-label scores, predictions are
real numbers, larger for likelier classes; for the Jaccard index they are boolean. All sums are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

JACCARD_AVERAGES = ("micro", "macro", "samples")


def jaccard(target: np.ndarray, prediction: np.ndarray, average: str) -> float:
    """Compute the Jaccard index, |both| / |either|.

    Two empty sets are equal and count as 1: in "samples" a clip without labels for which none is predicted, in "micro"
    no label anywhere. "macro" skips a class that is in no target and no prediction, because the clips say nothing about
    it; counted as 1, rare classes would raise the mean of every resample that misses them.

    Args:
        target: bool [clip, class].
        prediction: bool [clip, class].
        average: "micro": all pairs of clip and class are one set. "macro": the mean over classes, each the set of its
            clips. "samples": the mean over clips, each the set of its classes.

    Raises:
        ValueError: There is no such average.

    >>> jaccard(np.array([[1, 0], [0, 0]], bool), np.array([[1, 1], [0, 0]], bool), "samples")
    0.75
    """
    if average not in JACCARD_AVERAGES:
        raise ValueError(f"there is no Jaccard average {average!r}; choose from {', '.join(JACCARD_AVERAGES)}")
    axis = {"micro": None, "macro": 0, "samples": 1}[average]
    both = np.atleast_1d(np.count_nonzero(target & prediction, axis=axis))
    either = np.atleast_1d(np.count_nonzero(target | prediction, axis=axis))
    if average == "macro" and either.any():
        both, either = both[either > 0], either[either > 0]
    return float(np.mean(np.where(either == 0, 1.0, both / np.maximum(either, 1))))


def mean_average_precision(target: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the mean over classes of the average precision, heareval's mAP.

    Average precision is the sum of precision times the gain in recall, over the distinct predicted values from the top.
    A class without a positive clip counts as 0, as in heareval.

    Args:
        target: bool [clip, class].
        prediction: real [clip, class].

    >>> mean_average_precision(np.array([[1], [0], [1]], bool), np.array([[0.9], [0.8], [0.1]]))
    0.8333333333333333
    """
    scores = (_average_precision(target[:, k], prediction[:, k]) for k in range(target.shape[1]))
    return sum(scores) / target.shape[1]


def undefined_classes(target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the classes that a ranking score cannot measure.

    Args:
        target: bool [clip, class].

    Returns:
        Two masks [class]: classes without a positive clip, which count as 0 in heareval's mAP, and classes without a
        negative clip. Either makes heareval's aucroc and d_prime NaN as a whole.
    """
    positive = target.sum(axis=0)
    return positive == 0, positive == len(target)


def accuracy(target: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the share of clips whose largest ``prediction`` [clip, class] is at their class in one-hot ``target``."""
    return float(np.mean(target.argmax(axis=1) == prediction.argmax(axis=1)))


def area_under_roc(target: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the mean over classes of the area under the ROC curve, heareval's aucroc.

    The area is the chance that a positive clip is predicted above a negative one; equal predictions count half. A class
    with only positive or only negative clips has no area and is skipped, whereas in heareval it makes the score NaN.
    NaN if no class has an area.

    Args:
        target: bool [clip, class].
        prediction: real [clip, class].

    >>> area_under_roc(np.array([[1], [0], [1]], bool), np.array([[0.9], [0.5], [0.5]]))
    0.75
    """
    areas = []
    for labels, values in zip(target.T, prediction.T, strict=True):
        above, below = values[labels], np.sort(values[~labels])
        if len(above) and len(below):
            # "left" counts the smaller negatives, "right" the equal ones, too; the mean takes half of the equal ones.
            smaller = (np.searchsorted(below, above, side) for side in ("left", "right"))
            areas.append(sum(float(found.mean()) for found in smaller) / 2 / len(below))
    return float(np.mean(areas)) if areas else float("nan")


def weighted_scores(metric: str, target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute a score for many draws at once; in each draw, clip i counts ``weights[i, draw]`` times.

    Weights that count how often each clip was drawn give the scores of bootstrap resamples. With the predictions of two
    models stacked, and weights 0 or 1 that pick one row for each clip, they give the scores of mixtures of the models.

    Args:
        metric: "mAP", "aucroc", "top1_acc", "jaccard_micro", "jaccard_macro" or "jaccard_samples", each defined as in
            the function of this module.
        target: bool [clip, class].
        prediction: [clip, class]; real, for the Jaccard index bool.
        weights: Whole numbers from 0 [clip, draw], with the same sum in every draw; float64 is fastest.

    Returns:
        float64 [draw].

    Raises:
        ValueError: There is no such metric.
    """
    if metric in ("mAP", "aucroc"):
        scores = [
            _rank_metric_per_class(metric, *columns, weights) for columns in zip(target.T, prediction.T, strict=True)
        ]
        if metric == "mAP":
            return np.mean(scores, axis=0)
        there = np.count_nonzero(~np.isnan(scores), axis=0)
        return np.where(there > 0, np.nansum(scores, axis=0) / np.maximum(there, 1), np.nan)
    if metric == "top1_acc":
        right = target.argmax(axis=1) == prediction.argmax(axis=1)
        return right.astype(np.float64) @ weights / weights.sum(axis=0)
    if metric not in [f"jaccard_{average}" for average in JACCARD_AVERAGES]:
        raise ValueError(f"the score {metric!r} cannot be computed here; choose another one")
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
    """Correct m p values after Holm (1979): the k-th smallest becomes max_{j ≤ k} (m - j + 1) p_(j), at most 1.

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
    """Compute the 95 % percentile interval of a statistic over test clips (Efron 1979).

    The interval covers the choice of test clips, not that of sensors or training seeds. The difference of two models on
    the same clips is a statistic, too, and its interval is then paired.

    Args:
        statistic: Function of the indices [n_clips] of one resample.
        n_clips: Number of test clips.
        resamples: Number of draws of ``n_clips`` clips with replacement.
        seed: Seed of the draws.

    Returns:
        Low and high end of the interval.
    """
    draw = np.random.default_rng(seed)
    values = [statistic(draw.integers(n_clips, size=n_clips)) for _ in range(resamples)]
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _average_precision(target: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the average precision of one class, bool ``target`` and real ``prediction`` [clip]."""
    order = np.argsort(-prediction, kind="stable")
    hits = np.cumsum(target[order])
    if hits[-1] == 0:
        return 0.0
    ranked = prediction[order]
    # Clips with equal predictions enter together, so only the last of each run is a point of the curve.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return float(np.sum(np.diff(hits[ends], prepend=0) * hits[ends] / (ends + 1)) / hits[-1])


def _rank_metric_per_class(metric: str, target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute "mAP" or "aucroc" of one class for many draws.

    The ranking of the clips is the same in every draw; only their weights differ. So one pass from the highest
    prediction to the lowest serves all draws at once, adding a row of weights [draw] at each clip:

    - average precision: sum of (weight of positives in this run) · (positives so far / clips so far), over positives;
    - ROC area: 1 - sum of (weight of positives in this run) · (negatives above + half of the equal ones), over pairs.

    A run is a group of clips with equal predictions.

    Args:
        metric: "mAP" or "aucroc".
        target: bool [clip].
        prediction: real [clip].
        weights: [clip, draw].

    Returns:
        [draw].
    """
    order = np.argsort(-prediction, kind="stable")
    ranked = prediction[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) + 1
    hits, area, term = np.zeros((3, weights.shape[1]))
    # Not 0, so that 0 / 0 gives 0 instead of NaN; lost to rounding with the first clip that counts.
    passed = np.full_like(hits, 1e-300)
    start = 0
    for end in ends.tolist():
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
            np.add(misses_above, passed - hits, out=term)  # twice (negatives above + half of the equal ones)
        term *= gained
        area += term
    if metric == "mAP":
        return area / np.maximum(hits, 1)
    pairs = hits * (passed - hits)
    return np.where(pairs == 0, np.nan, 1 - area / 2 / np.maximum(pairs, 1))
