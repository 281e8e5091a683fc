"""What a handful of seeds tells: the mean and its interval, the paired t-test, and the correction for many tests.

Scores come as seed → score. Runs of one seed belong together (the same draw of initial weights and batches, the same
test clips), so two methods are compared seed by seed, over the seeds that both have.

Two seeds have no interval. With one degree of freedom the t-interval is 12.7 standard errors on either side: scores of
0.50 and 0.62 would read 0.56 ± 0.76, wider than all the scores there are. From three seeds on it says something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from scipy import stats

from sonyc_tasks.scores.metrics import holm

CONFIDENCE = 0.95
#: Fewer have a mean without an interval.
MIN_SEEDS_FOR_INTERVAL = 3
# Scores are from 0 to 1, and a difference of two is exact to some 1e-16. Differences that lie closer together than this
# are one number with rounding; their t would be rounding divided by rounding.
_EQUAL = 1e-12


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean, in the unit of the scores.
        ci_half_width: half the width of its 95 % t-interval, in that unit; None for fewer than three seeds.
        n: the number of seeds.
    """

    value: float
    ci_half_width: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high) of the 95 % interval; None for fewer than three seeds."""
        return (
            None if self.ci_half_width is None else (self.value - self.ci_half_width, self.value + self.ci_half_width)
        )


@dataclass(frozen=True)
class Difference:
    """A method minus a reference, paired by seed.

    Attributes:
        mean: None where no seed is in common.
        p: of `paired_t_test`.
        p_holm: the same, corrected for all tests.
    """

    mean: Mean | None
    p: float | None
    p_holm: float | None


def mean(scores: Mapping[int, float]) -> Mean | None:
    """Mean x̄ and its t-interval, x̄ ± t_{n-1, 0.975} · s / √n with s² = Σ (x - x̄)² / (n - 1).

    The interval takes the seeds for independent draws from a normal distribution.

    Args:
        scores: seed → score.

    Returns:
        The mean, without an interval for one or two seeds; None without seeds.
    """
    n = len(scores)
    if not n:
        return None
    # fsum rounds once, at the end, so that the order of the seeds changes not even the last digit.
    value = math.fsum(scores.values()) / n
    if n < MIN_SEEDS_FOR_INTERVAL:
        return Mean(value, None, n)
    variance = math.fsum((score - value) ** 2 for score in scores.values()) / (n - 1)
    return Mean(value, float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * math.sqrt(variance / n), n)


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """First minus second, seed by seed, of the seeds that both have, in rising order.

    >>> paired({2: 0.75, 0: 0.5}, {0: 0.25, 1: 0.5, 2: 0.5})
    {0: 0.25, 2: 0.25}
    """
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def paired_t_test(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Two-sided p value of the paired t-test over the seeds that both have.

    Without spread between the differences there is no t. If all of them are 0, nothing speaks for a difference and p is
    1. If all are the same other number, there is no test: its p would be 0, which coarse scores of two or three seeds,
    or one result copied to several seeds, reach by accident.

    Args:
        first: seed → score.
        second: seed → score.

    Returns:
        p, never NaN; None without spread, or for fewer than two common seeds.
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
    """Compare every method with every reference on every task, with p values corrected for all tests made.

    Args:
        scores: method → task → seed → score, of methods and references, each with the same tasks.
        methods: keys of ``scores``.
        references: keys of ``scores``. A method is not compared with itself: its difference is empty.

    Returns:
        (method, reference, task) → difference, method minus reference; and the number of tests corrected for. Two
        methods that are each other's reference are tested once, since it is one hypothesis.
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
