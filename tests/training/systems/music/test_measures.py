"""Measures of information against closed forms, integration, and scikit-learn's own estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif

from training.systems.music import measures


def clusters(seed: int, count: int, spread: float, dim: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=count)
    return labels[:, None] + spread * rng.standard_normal((count, dim)), labels


@pytest.mark.parametrize("spread", [0.1, 0.5, 2.0])
def test_one_dimension_is_estimated_as_scikit_learn_does(spread: float) -> None:
    z, labels = clusters(0, 600, spread)
    expected = mutual_info_classif(z, labels, n_neighbors=measures.NEIGHBOURS, random_state=0)
    assert measures.mutual_information_ross(z, labels) == pytest.approx(expected[0], abs=1e-6)


@pytest.mark.parametrize("dim", [1, 2])
def test_against_the_integral(dim: int) -> None:
    """I = h(z) − h(z | label), of a mixture of four Gaussians in the plane or on the line."""
    spread = 0.5
    z, labels = clusters(1, 4000, spread, dim)
    # All dimensions have one mean: what is across it tells nothing, and along it z's mean has the spread σ / √dim.
    along, narrow = np.linspace(-4, 7, 20_001), spread / np.sqrt(dim)
    each = np.exp(-((along - np.arange(4)[:, None]) ** 2) / (2 * narrow**2)) / (narrow * np.sqrt(2 * np.pi))
    mixture = each.mean(0)
    entropy = -(mixture * np.log(mixture + 1e-300)).sum() * (along[1] - along[0])
    expected = entropy - np.log(narrow * np.sqrt(2 * np.pi * np.e))
    assert measures.mutual_information_ross(z, labels) == pytest.approx(expected, abs=0.05)


def test_the_whole_of_a_label_and_nothing_of_it() -> None:
    z, labels = clusters(2, 800, 1e-3)
    assert measures.mutual_information_ross(z, labels) == pytest.approx(np.log(4), abs=0.01)
    assert measures.mutual_information_ross(np.random.default_rng(0).standard_normal((800, 3)), labels) < 0.05
    constant = np.zeros((800, 1))
    assert measures.mutual_information_ross(constant, labels) < 0.05


def test_by_dimension_and_gap() -> None:
    z, labels = clusters(3, 800, 0.01)
    both = np.concatenate([np.random.default_rng(1).standard_normal((800, 1)), z], axis=1)
    by_dimension = measures.by_dimension(both, labels)
    assert by_dimension.argmax() == 1
    assert measures.mutual_information_gap(by_dimension, labels) == pytest.approx(1, abs=0.05)
    assert measures.mutual_information_gap(np.array([0.7, 0.7, 0.1]), labels) == 0


def test_a_class_with_too_few_clips_is_named() -> None:
    with pytest.raises(ValueError, match=r"class b .*2 clips"):
        measures.mutual_information_ross(np.zeros((10, 1)), np.array(["a"] * 8 + ["b"] * 2))


def test_the_mlp_finds_what_no_line_can_and_no_more_than_there_is() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1200, 2))
    rings = (np.linalg.norm(z, axis=1) > 1.18).astype(int)
    chance = rng.integers(2, size=1200)
    for labels, low, high in ((rings, 0.93, 1.0), (chance, 0.35, 0.65)):
        train, test = (z[:900], labels[:900]), (z[900:], labels[900:])
        assert low <= measures.mlp_accuracy(train, test, epochs=60) <= high
