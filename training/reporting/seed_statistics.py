"""What a handful of seeds says: mean and its interval, the paired t-test, and the correction for many tests.

Scores come as seed → score. What was run with one seed belongs together (the same draw of initial weights and batches,
the same test clips), so two methods are compared seed by seed, over the seeds that both have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from scipy import stats

from sonyc_tasks.scores.metrics import holm

#: Of the intervals.
CONFIDENCE = 0.95
# Scores are from 0 to 1, and a difference of two is exact to some 1e-16. Differences that lie closer together than this
# are one number with rounding; their t would be rounding divided by rounding.
_EQUAL = 1e-12


@dataclass(frozen=True)
class Mean:
    """A mean over ``n`` seeds.

    ``value``: in the unit of the scores; ``half_width``: of its 95 % t-interval, in that unit, None for one seed.
    """

    value: float
    half_width: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high) of the 95 % interval; None for one seed."""
        return None if self.half_width is None else (self.value - self.half_width, self.value + self.half_width)


@dataclass(frozen=True)
class Difference:
    """A method minus a reference, paired by seed.

    ``mean``: None where no seed is in common; ``p``: of `paired_t_test`; ``p_holm``: the same, corrected for all.
    """

    mean: Mean | None
    p: float | None
    p_holm: float | None


def mean(scores: Mapping[int, float]) -> Mean | None:
    """Mean x̄ of seed → score, with half-width t_{n-1, 0.975} · s / √n, s² = Σ (x - x̄)² / (n - 1); None without seeds.

    The t-interval takes the seeds for independent draws from a normal distribution.
    """
    n = len(scores)
    if not n:
        return None
    # fsum rounds once, at the end, so that the order of the seeds changes not even the last digit.
    value = math.fsum(scores.values()) / n
    if n == 1:
        return Mean(value, None, n)
    variance = math.fsum((score - value) ** 2 for score in scores.values()) / (n - 1)
    return Mean(value, float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * math.sqrt(variance / n), n)


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """Seed → first minus second, of the seeds that both have, in rising order.

    >>> paired({2: 0.75, 0: 0.5}, {0: 0.25, 1: 0.5, 2: 0.5})
    {0: 0.25, 2: 0.25}
    """
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def paired_t_test(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Two-sided p value of the paired t-test of seed → score, over the seeds that both have; never NaN.

    Without spread between the differences there is no t. If all are 0, nothing speaks for a difference: 1. If all are
    the same other number: None, no test. Its p would be 0, which coarse scores of two or three seeds, or one result
    copied to several seeds, would reach by accident. None as well for fewer than two seeds.
    """
    differences = paired(first, second)
    if len(differences) < 2:
        return None
    low, high = min(differences.values()), max(differences.values())
    if high - low <= _EQUAL:
        return 1.0 if max(abs(low), abs(high)) <= _EQUAL else None
    one, other = ([scores[seed] for seed in differences] for scores in (first, second))
    return float(stats.ttest_rel(one, other).pvalue)


def compare(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]], methods: Iterable[str], references: Iterable[str]
) -> tuple[dict[tuple[str, str, str], Difference], int]:
    """Every method minus every reference on every task, with p values corrected for all tests made.

    Args:
        scores: method → task → seed → score, of methods and references, each with the same tasks.
        methods, references: keys of ``scores``. A method is not compared with itself: its difference is empty.

    Returns:
        (method, reference, task) → difference; and how many tests the correction is for. Two methods that are each
        other's reference are tested once, since it is one hypothesis.
    """
    differences: dict[tuple[str, str, str], Mean | None] = {}
    p: dict[tuple[frozenset[str], str], float] = {}
    for method, reference in product(methods, references):
        for task, own in scores[method].items():
            other = {} if method == reference else scores[reference][task]
            differences[method, reference, task] = mean(paired(own, other))
            found = paired_t_test(own, other)
            if found is not None:
                p[frozenset((method, reference)), task] = found
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    return {
        (method, reference, task): Difference(value, p.get(test), corrected.get(test))
        for (method, reference, task), value in differences.items()
        for test in [(frozenset((method, reference)), task)]
    }, len(p)
