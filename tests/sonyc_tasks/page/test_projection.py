"""The numbers behind the results page: which clips are alike, and where each stands on the map."""

from __future__ import annotations

import numpy as np
import pytest

from sonyc_tasks.page.projection import nearest, project, similarities


def test_similarity_and_neighbours_against_the_obvious_way() -> None:
    embedding = np.random.default_rng(1).normal(size=(15, 6)) * [1, 1000, 1e-3, 1, 1, 1] + [0, 5, 0, 0, -100, 0]
    embedding[:, 3] = 7.1
    found = similarities(embedding)
    columns = [(column - column.mean()) / column.std() for column in np.delete(embedding, 3, axis=1).T]
    for a, x in enumerate(np.transpose(columns)):
        expected = [float(x @ y / np.sqrt((x @ x) * (y @ y))) for y in np.transpose(columns)]
        assert found[a].tolist() == pytest.approx(expected, abs=1e-12)
        others = [b for b in range(15) if b != a]
        assert nearest(found)[a].tolist() == sorted(others, key=lambda b: -expected[b])[:5]
    assert nearest(found[:3, :3]).shape == (3, 2)


@pytest.mark.parametrize(("clips", "how"), [(11, "two principal"), (30, "t-SNE of perplexity 9.67")])
def test_projection(clips: int, how: str) -> None:
    groups = np.arange(clips) % 2
    embedding = 20.0 * groups[:, None] * np.ones(6) + np.random.default_rng(0).normal(size=(clips, 6))
    points, said = project(embedding)
    assert how in said
    assert np.array_equal(points, project(embedding)[0])
    assert np.ptp(points, axis=0).max() == pytest.approx(1)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(clips)
    assert np.array_equal(groups[distance.argmin(axis=1)], groups)


@pytest.mark.parametrize("embedding", [np.ones((20, 4)), np.arange(20.0)[:, None], np.eye(2)])
def test_projection_of_next_to_nothing(embedding: np.ndarray) -> None:
    points, _ = project(embedding)
    assert points.shape == (len(embedding), 2)
    assert np.isfinite(points).all()
