"""The statistics against their formulas, written out in another way: the t distribution as an integral, its tabulated
quantiles, and Holm's correction as what it abbreviates, a test of every set of hypotheses."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonyc_tasks.scores.metrics import holm
from training.reporting.seed_statistics import Mean, compare, mean, paired, paired_t_test

#: t_{n-1, 0.975} by n, from a printed table.
QUANTILES = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 10: 2.262, 31: 2.042}
SCORES = st.dictionaries(st.integers(0, 9), st.floats(0, 1), max_size=6)
P_VALUES = st.lists(st.floats(0, 1), max_size=6)


@pytest.fixture(autouse=True)
def _no_warnings() -> None:
    """None of scipy's warnings about few or equal numbers is ever provoked."""
    warnings.simplefilter("error", RuntimeWarning)


def two_sided(t: float, freedom: int) -> float:
    """P(\\|T\\| > \\|t\\|), with T = √ν tan θ: its density in θ is proportional to cos^(ν-1) θ. Simpson's rule."""
    theta = np.linspace(0, math.pi / 2, 20_001)
    cut = np.linspace(math.atan(abs(t) / math.sqrt(freedom)), math.pi / 2, 20_001)

    def area(x: np.ndarray) -> float:
        y = np.maximum(np.cos(x), 0.0) ** (freedom - 1)
        return float((x[1] - x[0]) / 3 * (y[0] + y[-1] + 4 * y[1:-1:2].sum() + 2 * y[2:-1:2].sum()))

    return area(cut) / area(theta)


def by_closure(p: Sequence[float]) -> list[float]:
    """A hypothesis falls when every set of hypotheses with it in falls after Bonferroni."""
    places = range(len(p))
    sets = [chosen for size in places for chosen in combinations(places, size + 1)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in places]


@pytest.mark.parametrize("n", QUANTILES)
def test_the_interval_is_its_formula(n: int) -> None:
    scores = np.random.default_rng(n).normal(0.6, 0.02, n)
    found = mean(dict(enumerate(scores.tolist())))
    assert found is not None
    assert found.ci_half_width is not None
    assert math.isclose(found.value, scores.mean(), rel_tol=1e-14)
    standard_error = scores.std(ddof=1) / math.sqrt(n)
    assert math.isclose(found.ci_half_width, QUANTILES[n] * standard_error, rel_tol=3e-4)
    assert math.isclose(two_sided(found.ci_half_width / standard_error, n - 1), 0.05, rel_tol=1e-9)
    assert found.interval == (found.value - found.ci_half_width, found.value + found.ci_half_width)
    assert found.n == n


def test_the_interval_covers_what_it_says() -> None:
    draws = np.random.default_rng(0).normal(0.6, 0.02, (2000, 5))
    found = [mean(dict(enumerate(draw.tolist()))) for draw in draws]
    covered = sum(abs(m.value - 0.6) <= m.ci_half_width for m in found if m and m.ci_half_width is not None)
    assert abs(covered / 2000 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_one_or_two_seeds_have_no_interval_and_no_seed_no_mean() -> None:
    assert mean({3: 0.5}) == Mean(0.5, None, 1)
    assert mean({3: 0.5, 4: 0.75}) == Mean(0.625, None, 2)
    assert Mean(0.5, None, 1).interval is None
    assert mean({}) is None


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_paired_t_test_is_its_formula(n: int) -> None:
    draw = np.random.default_rng(n)
    first, second = draw.normal(0.61, 0.02, n), draw.normal(0.6, 0.02, n)
    d = first - second
    t = d.mean() / math.sqrt(((d - d.mean()) ** 2).sum() / (n - 1) / n)
    # another order, and seeds that only one of them has
    one = {7: 0.9} | dict(reversed(list(enumerate(first.tolist()))))
    other = dict(enumerate(second.tolist())) | {99: 0.1}
    found = paired_t_test(one, other)
    assert found is not None
    assert math.isclose(found, two_sided(t, n - 1), rel_tol=1e-8)


def test_no_spread_is_never_nan() -> None:
    scores = {0: 0.1, 1: 0.7, 2: 0.3}
    assert paired_t_test(scores, scores) == 1
    # 0.1 + 0.2 and the like: the differences are equal but for rounding
    assert paired_t_test({seed: score + 0.2 for seed, score in scores.items()}, scores) is None
    assert paired_t_test({0: 0.5, 1: 0.5}, {0: 0.25, 1: 0.25}) is None
    assert paired_t_test({0: 0.5}, {0: 0.25}) is None
    assert paired_t_test({0: 0.5}, {1: 0.25}) is None


@given(SCORES, SCORES)
@settings(max_examples=200, deadline=None)
def test_p_is_a_probability_and_the_same_both_ways(first: dict[int, float], second: dict[int, float]) -> None:
    p = paired_t_test(first, second)
    assert p == paired_t_test(second, first)
    assert p is None or 0 <= p <= 1
    assert paired(first, second) == {seed: -d for seed, d in paired(second, first).items()}


@given(SCORES, SCORES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_which_seed_is_which_changes_nothing(
    first: dict[int, float], second: dict[int, float], draw: random.Random
) -> None:
    names = list(range(10))
    draw.shuffle(names)
    renamed = [{names[seed]: scores[seed] for seed in scores} for scores in (first, second)]
    assert mean(renamed[0]) == mean(first)
    assert mean(paired(*renamed)) == mean(paired(first, second))
    old, new = paired_t_test(first, second), paired_t_test(*renamed)
    assert (old is None) == (new is None)
    assert old is None or new is None or math.isclose(old, new, rel_tol=1e-6, abs_tol=1e-12)


# Sixty-fourths, so that a shift by sixty-fourths is exact.
@given(
    st.dictionaries(st.integers(0, 9), st.tuples(*[st.integers(0, 64)] * 2), min_size=1, max_size=6),
    st.integers(-64, 64),
)
@settings(max_examples=200, deadline=None)
def test_shifting_both_changes_no_difference(scores: dict[int, tuple[int, int]], shift: int) -> None:
    first, second = ({seed: both[i] / 64 for seed, both in scores.items()} for i in (0, 1))
    up_first, up_second = ({seed: score + shift / 64 for seed, score in s.items()} for s in (first, second))
    assert paired(up_first, up_second) == paired(first, second)
    assert paired_t_test(up_first, up_second) == paired_t_test(first, second)
    old, new = mean(first), mean(up_first)
    assert old is not None
    assert new is not None
    assert math.isclose(new.value, old.value + shift / 64, abs_tol=1e-12)
    assert (
        old.ci_half_width is None
        or new.ci_half_width is None
        or math.isclose(new.ci_half_width, old.ci_half_width, abs_tol=1e-9)
    )


@given(P_VALUES)
@settings(max_examples=200, deadline=None)
def test_holm_is_the_closed_test(p: list[float]) -> None:
    corrected = holm(p)
    assert np.allclose(corrected, by_closure(p), rtol=1e-12, atol=0)
    assert all(before <= after <= 1 for before, after in zip(p, corrected, strict=True))


def test_holm_of_a_worked_example() -> None:
    assert np.allclose(holm([0.04, 0.01, 0.03, 0.005]), [0.06, 0.03, 0.06, 0.02])
    assert holm([]) == []


def test_comparisons_are_corrected_together_and_mutual_ones_count_once() -> None:
    draw = np.random.default_rng(0)
    scores = {
        method: {"source": dict(enumerate(draw.normal(0.6, 0.05, 4).tolist())), "sensor": {0: 0.5}}
        for method in ("a", "b", "c")
    }
    found, tests = compare(scores, ["a", "b", "c", "c"], ["a", "b"])
    assert tests == 3
    assert len(found) == 3 * 2 * 2
    raw = {pair: paired_t_test(scores[pair[0]]["source"], scores[pair[1]]["source"]) for pair in ("ab", "ca", "cb")}
    corrected = dict(zip(raw, by_closure([p for p in raw.values() if p is not None]), strict=True))
    for pair in ("ab", "ca", "cb", "ba"):
        of = found[pair[0], pair[1], "source"]
        same = pair if pair in raw else pair[::-1]
        assert of.p == raw[same]
        assert of.p_holm is not None
        assert math.isclose(of.p_holm, corrected[same], rel_tol=1e-12)
        assert of.mean == mean(paired(scores[pair[0]]["source"], scores[pair[1]]["source"]))
    for of in (found["a", "a", "source"], found["b", "b", "sensor"]):
        assert (of.mean, of.p, of.p_holm) == (None, None, None)
    assert found["c", "a", "sensor"].mean == Mean(0.0, None, 1)
    assert found["c", "a", "sensor"].p is None
