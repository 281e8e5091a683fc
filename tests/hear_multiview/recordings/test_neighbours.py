"""Exact search, against all pairs in the obvious way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from hear_multiview.recordings.neighbours import nearest


def blocks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def obvious(rows: np.ndarray, queries: np.ndarray, own: np.ndarray | None = None) -> list[list[int]]:
    """Every row, sorted by similarity to each query, then by number."""
    similarity = cosine_similarity(queries.astype(np.float64), rows.astype(np.float64)).round(9)
    numbers = [[k for k in range(len(rows)) if own is None or k != own[q]] for q in range(len(queries))]
    return [sorted(some, key=lambda k: (-similarity[q, k], k)) for q, some in enumerate(numbers)]


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
@pytest.mark.parametrize("count", [1, 6, 60, 99])
def test_the_same_rows_whatever_the_blocks(size: int, count: int) -> None:
    rng = np.random.default_rng(0)
    rows, queries = rng.normal(size=(60, 16)).astype(np.float32), rng.normal(size=(3, 16)).astype(np.float32)
    found, similarities = nearest(blocks(rows, size), queries, count)
    assert found.tolist() == [best[:count] for best in obvious(rows, queries)]
    expected = cosine_similarity(queries.astype(np.float64), rows.astype(np.float64))
    np.testing.assert_allclose(similarities, np.take_along_axis(expected, found, axis=1), atol=1e-9)


@pytest.mark.parametrize("size", [1, 4, 5, 100])
def test_of_equally_similar_rows_the_earlier_comes_first(size: int) -> None:
    rng = np.random.default_rng(1)
    # The same eight directions again and again, at other levels: powers of two change no digit.
    rows = np.tile(rng.normal(size=(8, 33)), (4, 1)).astype(np.float32) * 2.0 ** rng.integers(-3, 4, size=(32, 1))
    found, similarities = nearest(blocks(rows, size), rows[:8], 6)
    assert found.tolist() == [best[:6] for best in obvious(rows, rows[:8])]
    assert found[:, :4].tolist() == [[k, k + 8, k + 16, k + 24] for k in range(8)]
    assert (similarities[:, :4] == 1).all()


@pytest.mark.parametrize("size", [1, 3, 20])
def test_a_query_that_is_a_row_does_not_find_itself(size: int) -> None:
    rows = np.random.default_rng(2).normal(size=(20, 4))
    rows[7] = rows[3]
    own = np.array([3, 0, 19])
    found, _ = nearest(blocks(rows, size), rows[own], 5, own)
    assert found.tolist() == [best[:5] for best in obvious(rows, rows[own], own)]
    assert found[0, 0] == 7
    assert nearest(blocks(rows, size), rows[own], 99, own)[0].shape == (3, 19)
    assert nearest([rows[:1]], rows[:1], 5, np.array([0]))[0].shape == (1, 0)


def test_zeros_are_like_nothing() -> None:
    rows = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 1.0]])
    found, similarities = nearest([rows], np.array([[2.0, 0.0], [0.0, 0.0]]), 3)
    assert found.tolist() == [[2, 0, 1], [0, 1, 2]]
    assert similarities[0].tolist() == pytest.approx([2**-0.5, 0, -1])
    assert similarities[1].tolist() == [0, 0, 0]


def test_what_cannot_be_searched() -> None:
    rows = np.ones((5, 2))
    rows[4, 1] = np.nan
    with pytest.raises(ValueError, match="row 4"):
        nearest(blocks(rows, 2), np.ones((1, 2)), 3)
    with pytest.raises(ValueError, match="query 0"):
        nearest([np.ones((5, 2))], np.full((1, 2), np.inf), 3)
    with pytest.raises(ValueError, match="0"):
        nearest([np.ones((5, 2))], np.ones((1, 2)), 0)
    assert nearest([], np.ones((2, 2)), 3)[0].shape == (2, 0)
