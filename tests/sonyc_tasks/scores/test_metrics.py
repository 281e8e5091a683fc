from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score

from sonyc_tasks.scores.metrics import (
    JACCARD_AVERAGES,
    accuracy,
    area_under_roc,
    bootstrap,
    holm,
    jaccard,
    mean_average_precision,
    weighted_scores,
)

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)
BOOLEAN_PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 2))
# few distinct predictions, so that many clips tie
RANKED_PAIRS = SHAPES.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(bool, shape), hnp.arrays(np.float64, shape, elements=st.sampled_from([0, 0.3, 1]))
    )
)


def plain_jaccard(target: np.ndarray, prediction: np.ndarray, average: str) -> float:
    """Sets and fractions, straight from the definition."""
    clips, classes = target.shape
    cells = [{(n, k) for n in range(clips) for k in range(classes) if labels[n, k]} for labels in (target, prediction)]
    if average == "micro":
        groups = [cells]
    elif average == "macro":
        groups = [[{cell for cell in side if cell[1] == k} for side in cells] for k in range(classes)]
        groups = [group for group in groups if group[0] | group[1]] or groups
    else:
        groups = [[{cell for cell in side if cell[0] == n} for side in cells] for n in range(clips)]
    indices = [Fraction(len(a & b), len(a | b)) if a | b else Fraction(1) for a, b in groups]
    return float(sum(indices) / len(indices))


@given(BOOLEAN_PAIRS, st.sampled_from(JACCARD_AVERAGES))
@settings(max_examples=200, deadline=None)
def test_jaccard_is_its_definition(pair: tuple[np.ndarray, np.ndarray], average: str) -> None:
    assert math.isclose(jaccard(*pair, average), plain_jaccard(*pair, average), abs_tol=1e-12)
    assert jaccard(*pair, average) == jaccard(pair[1], pair[0], average)
    assert jaccard(pair[0], pair[0], average) == 1


@pytest.mark.parametrize("average", JACCARD_AVERAGES)
def test_jaccard_agrees_with_scikit_learn(average: str) -> None:
    draw = np.random.default_rng(0)
    target, prediction = draw.random((2, 50, 8)) < 0.3
    assert math.isclose(
        jaccard(target, prediction, average), jaccard_score(target, prediction, average=average, zero_division=1)
    )


def test_what_two_empty_label_sets_count_as() -> None:
    nothing, one = np.zeros((1, 2), bool), np.array([[True, False]])
    for average in JACCARD_AVERAGES:
        assert jaccard(nothing, nothing, average) == 1
        assert jaccard(nothing, one, average) == 0
    both, hit = np.concatenate([nothing, one]), np.concatenate([nothing, ~one])
    assert jaccard(both, both, "samples") == 1
    assert jaccard(both, hit, "samples") == 0.5  # the empty clip counts as 1
    assert jaccard(one, one, "macro") == 1  # and the class that is nowhere does not count


def test_unknown_average() -> None:
    with pytest.raises(ValueError, match=r"'weighted'.*micro, macro, samples"):
        jaccard(np.zeros((1, 1), bool), np.zeros((1, 1), bool), "weighted")


@given(RANKED_PAIRS)
@settings(max_examples=200, deadline=None)
def test_mean_average_precision_is_its_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    target, prediction = pair
    expected = []
    for hits, scores in zip(target.T, prediction.T, strict=True):
        area, recall = Fraction(0), Fraction(0)
        for threshold in sorted(set(scores.tolist()), reverse=True):
            taken = scores >= threshold
            found = int((hits & taken).sum())
            if hits.any():
                area += Fraction(found, int(taken.sum())) * (Fraction(found, int(hits.sum())) - recall)
                recall = Fraction(found, int(hits.sum()))
        expected.append(area)
    assert math.isclose(mean_average_precision(*pair), float(sum(expected) / len(expected)), abs_tol=1e-12)


@pytest.mark.filterwarnings("ignore:No positive class")
def test_mean_average_precision_agrees_with_heareval() -> None:
    draw = np.random.default_rng(0)
    target, prediction = draw.random((200, 8)) < 0.2, draw.random((200, 8)).astype(np.float32)
    prediction = np.round(prediction, 2)  # ties
    target[:, 3] = False  # an absent class counts as 0 there too
    # heareval's mAP is this call
    expected = average_precision_score(target.astype(np.float32), prediction, average="macro")
    assert math.isclose(mean_average_precision(target, prediction), expected, rel_tol=1e-9)


def test_accuracy() -> None:
    target = np.eye(3, dtype=bool)[[0, 1, 2, 2]]
    prediction = np.array([[0.5, 0.4, 0.1], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [0.0, 0.3, 0.7]])
    assert accuracy(target, prediction) == 0.75


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    low, high = bootstrap(lambda rows: float(values[rows].mean()), len(values), resamples=4000)
    error = values.std() / 20
    assert math.isclose(low, values.mean() - 1.96 * error, abs_tol=0.02)
    assert math.isclose(high, values.mean() + 1.96 * error, abs_tol=0.02)


def test_the_bootstrap_is_seeded() -> None:
    values = np.arange(10.0)

    def mean(rows: np.ndarray) -> float:
        return float(values[rows].mean())

    assert bootstrap(mean, 10, 50) == bootstrap(mean, 10, 50)
    assert bootstrap(mean, 10, 50) != bootstrap(mean, 10, 50, seed=1)


@given(RANKED_PAIRS)
@settings(max_examples=200, deadline=None)
def test_area_under_roc_is_its_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    areas = []
    for hits, scores in zip(pair[0].T, pair[1].T, strict=True):
        pairs = [(a > b) + (a == b) / 2 for a in scores[hits] for b in scores[~hits]]
        areas += [sum(pairs) / len(pairs)] if pairs else []
    expected = sum(areas) / len(areas) if areas else math.nan
    assert area_under_roc(*pair) == pytest.approx(expected, nan_ok=True)


def test_area_under_roc_agrees_with_heareval() -> None:
    draw = np.random.default_rng(0)
    target, prediction = draw.random((200, 8)) < 0.2, np.round(draw.random((200, 8)), 2)
    assert math.isclose(area_under_roc(target, prediction), roc_auc_score(target, prediction, average="macro"))


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mAP": mean_average_precision,
    "aucroc": area_under_roc,
    "top1_acc": accuracy,
    **{f"jaccard_{average}": partial(jaccard, average=average) for average in JACCARD_AVERAGES},
}


@pytest.mark.parametrize("metric", SCORES)
def test_a_weight_is_how_often_a_clip_is_there(metric: str) -> None:
    draw = np.random.default_rng(1)
    for classes in (1, 5):
        target = draw.random((12, classes)) < 0.3
        target[:, -1] &= classes == 1  # a class without a positive clip
        prediction: np.ndarray = np.round(draw.random(target.shape), 1)  # ties
        if metric.startswith("jaccard"):
            prediction = prediction > 0.5
        weights = draw.multinomial(12, np.full(12, 1 / 12), size=40).T
        found = weighted_scores(metric, target, prediction, weights.astype(float))
        expected = [SCORES[metric](np.repeat(target, w, axis=0), np.repeat(prediction, w, axis=0)) for w in weights.T]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_no_such_weighted_score() -> None:
    with pytest.raises(ValueError, match="'d_prime'"):
        weighted_scores("d_prime", np.ones((1, 1), bool), np.ones((1, 1)), np.ones((1, 1)))


@given(st.lists(st.floats(0, 1), max_size=7))
@settings(deadline=None)
def test_holm_rejects_as_its_procedure_does(p: list[float]) -> None:
    """Down from the smallest p, each tested at alpha / (tests left), until one is not rejected."""
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
            if p[place] * (len(p) - rank) > alpha:
                break
            rejected.add(place)
        assert {place for place, corrected in enumerate(holm(p)) if corrected <= alpha} == rejected
