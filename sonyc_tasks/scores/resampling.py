"""Statistics of comparisons between modules: bootstrap resamples and permutation tests over test clips, folds and all.

The predictions of a module are a list with one entry per fold; a score is the mean over folds, as in heareval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sonyc_tasks.scores.metrics import accuracy, area_under_roc, jaccard, mean_average_precision, weighted_scores
from sonyc_tasks.scores.results import Predictions

#: Permutations drawn for each test; the smallest p value is 1 / (DRAWS + 1).
DRAWS = 10_000
#: heareval's name of a score → (its name in `metrics.weighted_scores`, the score of a target and a prediction).
METRICS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "mAP": ("mAP", mean_average_precision),
    "aucroc": ("aucroc", area_under_roc),
    "top1_acc": ("top1_acc", accuracy),
    "pitch_acc": ("top1_acc", accuracy),
    "jaccard_micro": ("jaccard_micro", lambda target, prediction: jaccard(target, prediction, "micro")),
    "jaccard_macro": ("jaccard_macro", lambda target, prediction: jaccard(target, prediction, "macro")),
    "jaccard_samples": ("jaccard_samples", lambda target, prediction: jaccard(target, prediction, "samples")),
}
#: Memory in bytes for the permutations that are computed at a time.
_BLOCK = 100e6
# Differences this close are equal: exchanging clips with equal predictions changes nothing but the rounding.
_EQUAL = 1e-9


def score_of_folds(metric: str, folds: Sequence[Predictions]) -> float:
    """Compute a score of `METRICS`, the mean over folds."""
    return float(np.mean([METRICS[metric][1](fold.target, fold.prediction) for fold in folds]))


def resample_counts(draw: np.random.Generator, clips: int, resamples: int) -> np.ndarray:
    """Return how often each clip is in each resample [clip, resample]; the same draws as `metrics.bootstrap`."""
    counts = [np.bincount(draw.integers(clips, size=clips), minlength=clips) for _ in range(resamples)]
    return np.stack(counts, axis=1).astype(np.float64)


def resampled_scores(metric: str, folds: Sequence[Predictions], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Compute `metrics.weighted_scores`, the mean over folds, [draw]; ``weights``: [clip, draw] of each fold."""
    pairs = zip(folds, weights, strict=True)
    return np.mean([weighted_scores(METRICS[metric][0], fold.target, fold.prediction, w) for fold, w in pairs], axis=0)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of scores of resamples [resample], ignoring NaN."""
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def permutation_test(
    metric: str, modules: Mapping[str, Sequence[Predictions]], reference: Sequence[Predictions], seed: int
) -> dict[str, float]:
    """Test each module's difference from the ``reference`` by exchanging their predictions clip by clip.

    Args:
        metric: One of `METRICS`.
        modules: Module → predictions of each fold.
        reference: Predictions of each fold, on the same clips.
        seed: Seed of the permutations.

    Returns:
        Module → two-sided p value, the share of `DRAWS` permutations (and the identity) with at least this difference.
    """
    observed = {
        module: abs(score_of_folds(metric, folds) - score_of_folds(metric, reference))
        for module, folds in modules.items()
    }
    extreme = dict.fromkeys(modules, 0)
    draw = np.random.default_rng(seed)
    block = int(np.clip(_BLOCK / (16 * sum(map(len, reference))), 100, DRAWS))
    for start in range(0, DRAWS if modules else 0, block):
        size = min(block, DRAWS - start)
        # `_both` stacks the clips with one module's predictions on the same clips with the other's. One row of each
        # clip has weight 1, the other 0: an exchange moves the weight of a clip to the other module's row.
        weights = []
        for fold in reference:
            swapped = draw.integers(2, size=(len(fold), size), dtype=np.int8).astype(np.float64)
            weights.append(np.concatenate([1 - swapped, swapped]))
        for module, folds in modules.items():
            first = resampled_scores(metric, [_both(*pair) for pair in zip(folds, reference, strict=True)], weights)
            second = resampled_scores(metric, [_both(*pair) for pair in zip(reference, folds, strict=True)], weights)
            extreme[module] += int(np.count_nonzero(np.abs(first - second) >= observed[module] - _EQUAL))
    # The identity, which was not drawn, is a permutation as well.
    return {module: (1 + count) / (1 + DRAWS) for module, count in extreme.items()}


def _both(one: Predictions, other: Predictions) -> Predictions:
    return Predictions(np.concatenate([one.target, other.target]), np.concatenate([one.prediction, other.prediction]))
