"""Groups of recordings without labels."""

from __future__ import annotations

import numpy as np
import pytest

from hear_multiview.recordings.pages import groups
from hear_multiview.recordings.pages.groups import Grouping, by_cluster, by_folder, by_hour, groupings, typical


def test_folders_and_what_is_left_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_folder(["d/b/1.wav", "d/a/2.wav", "d/b/3.wav"])
    assert [found.labels[k] for k in found.of] == ["b", "a", "b"]
    assert "." not in by_folder(["d/1.wav", "d/a/2.wav"]).labels, "a dot says nothing in a legend"
    monkeypatch.setattr(groups, "MAX_GROUPS", 3)
    found = by_folder([f"{name}/x.wav" for name in "abbccccde"])
    assert [found.labels[k] for k in found.of][1:7] == list("bbcccc")
    assert {found.of[0], found.of[7], found.of[8]} == {2}
    assert len(found.labels) == 3
    assert "3" in found.labels[2]


def test_hours_move_on_within_a_recording() -> None:
    paths = ["20260131_225900.wav"] * 3 + ["other.wav"]
    found = by_hour(paths, np.array([0.0, 60.0, 3660.0, 0.0]))
    assert found is not None
    assert found.of.tolist() == [22, 23, 0, 24]
    assert len(found.labels) == 25
    assert by_hour(["a.wav"], np.zeros(1)) is None


def test_clusters_are_those_that_are_there_and_the_largest_comes_first() -> None:
    rng = np.random.default_rng(0)
    which = np.repeat([0, 1, 2], [10, 30, 20])
    # Levels differ: only directions count.
    embeddings = (np.eye(3)[which] + 0.02 * rng.normal(size=(60, 3))) * rng.uniform(0.1, 10, size=(60, 1))
    found = by_cluster(embeddings, 3)
    assert found.of.tolist() == [{0: 2, 1: 0, 2: 1}[k] for k in which.tolist()]
    assert by_cluster(np.ones((4, 2)), 3).of.tolist() == [0] * 4


def test_what_is_typical_of_a_group() -> None:
    embeddings = np.array([[1, 0], [1, 0.1], [1, -0.2], [0, 1.0]])
    found = typical(Grouping("x", ["a", "b", "c"], np.array([0, 0, 0, 1])), embeddings, 2)
    assert found == [[0, 1], [3], []]


def test_only_groupings_that_tell_rows_apart() -> None:
    found = groupings(["a/1.wav", "b/2.wav", "b/3.wav"], np.zeros(3), np.eye(3))
    assert [grouping.name for grouping in found] == ["folder", "cluster"]
    same = groupings(["20260131_225900.wav"] * 3, np.zeros(3), np.ones((3, 2)))
    assert [(grouping.name, set(grouping.of.tolist())) for grouping in same] == [
        ("hour of day", {22}),
        ("cluster", {0}),
    ]


@pytest.mark.parametrize(("rows", "clusters"), [(3, 2), (8, 2), (20, 5), (100, 12)])
def test_few_rows_have_few_clusters(rows: int, clusters: int) -> None:
    embeddings = np.random.default_rng(0).normal(size=(rows, 8))
    (found,) = groupings(["a.wav"] * rows, np.zeros(rows), embeddings)
    assert len(found.labels) == clusters
