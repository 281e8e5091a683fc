"""Groups of recordings that need no labels: by folder, by hour of the day, and by cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from hear_multiview.recordings.file_names import folders, recorded_at
from hear_multiview.recordings.neighbours import directions, nearest

#: The most groups that marks on a map can be told apart by; rare ones share one.
MAX_GROUPS = 24
#: Clusters at most; of few rows there are fewer, so that one has four on average.
CLUSTERS, MEMBERS = 12, 4


@dataclass(frozen=True)
class Grouping:
    """Each row in one group.

    Attributes:
        name: what the groups are.
        labels: of the groups.
        of: group of each row, int [row].
        cyclic: whether the last group is next to the first.
    """

    name: str
    labels: list[str]
    of: np.ndarray
    cyclic: bool = False


def groupings(paths: Sequence[str], start: np.ndarray, embeddings: np.ndarray) -> list[Grouping]:
    """All groupings that tell rows apart; that by cluster in any case.

    Args:
        paths: the recording of each row.
        start: where in the recording a row begins, in seconds, [row].
        embeddings: [row, dim].
    """
    found = [by_folder(paths), by_hour(paths, start)]
    told = [grouping for grouping in found if grouping is not None and len(grouping.labels) > 1]
    clusters = min(CLUSTERS, max(2, len(embeddings) // MEMBERS))
    return [*told, by_cluster(embeddings, clusters)]


def by_folder(paths: Sequence[str]) -> Grouping:
    """Group by the first folder in which the paths differ; the smallest beyond `MAX_GROUPS` are one group."""
    names = ["no subfolder" if name == "." else name for name in folders(paths)]
    counts = Counter(names)
    kept = sorted(counts)
    if len(kept) > MAX_GROUPS:
        kept = sorted(sorted(kept, key=lambda name: -counts[name])[: MAX_GROUPS - 1])
    place = {name: k for k, name in enumerate(kept)}
    rest = [f"{len(counts) - len(kept)} other folders"] if len(kept) < len(counts) else []
    return Grouping("folder", kept + rest, np.array([place.get(name, len(kept)) for name in names], dtype=np.int64))


def by_hour(paths: Sequence[str], start: np.ndarray) -> Grouping | None:
    """Group by the hour of the day at which a row begins; None where no file name holds a time."""
    of = np.full(len(paths), 24)
    times = {path: recorded_at(path) for path in set(paths)}
    for row, (path, seconds) in enumerate(zip(paths, start, strict=True)):
        if (time := times[path]) is not None:
            of[row] = (time + timedelta(seconds=float(seconds))).hour
    if (of == 24).all():
        return None
    labels = [f"{hour:02} h" for hour in range(24)] + ["unknown hour"] * bool((of == 24).any())
    return Grouping("hour of day", labels, of, cyclic=True)


def by_cluster(embeddings: np.ndarray, clusters: int = CLUSTERS) -> Grouping:
    """Group by k-means of the embeddings at length 1, with a fixed seed; the largest cluster comes first.

    Args:
        embeddings: [row, dim].
        clusters: how many; fewer where fewer rows differ.
    """
    unit = directions(embeddings)
    count = min(clusters, len(np.unique(unit.round(6), axis=0)))
    # One thread: the same clusters on any number of cores.
    with threadpool_limits(1):
        found = KMeans(count, n_init=3, random_state=0).fit_predict(unit)
    _, first, sizes = np.unique(found, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    return Grouping("cluster", [f"cluster {k + 1}" for k in range(len(order))], np.argsort(order)[found])


def typical(grouping: Grouping, embeddings: np.ndarray, count: int) -> list[list[int]]:
    """For each group, the rows most similar to the mean of its embeddings at length 1, by cosine similarity.

    Args:
        grouping: the groups.
        embeddings: [row, dim].
        count: how many rows of each group, at most.
    """
    result = []
    for group in range(len(grouping.labels)):
        rows = np.flatnonzero(grouping.of == group)
        if len(rows):
            inside = directions(embeddings[rows])
            rows = rows[nearest([inside], inside.mean(axis=0, keepdims=True), count)[0][0]]
        result.append(rows.tolist())
    return result
