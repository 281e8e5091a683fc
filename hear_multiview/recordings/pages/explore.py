"""A page to explore a table of embeddings by eye and ear: a map, groups, and the nearest neighbours of each row.

plotly draws the map by WebGL. It is under the MIT licence, and its Python package carries the JavaScript, so nothing is
vendored and a page still loads no library. `explore.html.j2` says what stands in the page, and `explore.js` what moves.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from plotly.colors import cyclical, sample_colorscale
from plotly.offline import get_plotlyjs

from hear_multiview.recordings.file_names import common_folder
from hear_multiview.recordings.neighbours import nearest
from hear_multiview.recordings.pages.groups import Grouping, groupings, typical
from hear_multiview.recordings.places import link, locate, missing
from hear_multiview.recordings.table import Table
from sonyc_tasks.files import write_atomic
from sonyc_tasks.page import render
from sonyc_tasks.page.projection import project

#: Neighbours of each row, and rows that stand for a group.
NEIGHBOURS, TYPICAL = 8, 3
#: Rows in a page: a map of more takes minutes to compute.
MAX_ROWS = 10_000
#: Rows compared with all others at a time.
_QUERIES = 512


def explore(table: Table, out: Path, views: Mapping[str, slice], max_rows: int = MAX_ROWS) -> int:
    """Write the page, whole or not at all.

    Args:
        table: the embeddings.
        out: the page. It links to the recordings by their relative paths.
        views: the columns of the table that each view has.
        max_rows: how many rows to show; of a larger table, that many are drawn at random with a fixed seed.

    Returns:
        The number of rows shown.

    Raises:
        ValueError: there are fewer than two rows to show, or an embedding is not finite.
    """
    if len(table) < 2:
        raise ValueError(f"{table.file} has {len(table)} rows, which make no map; embed two recordings or more")
    if max_rows < 2:
        raise ValueError(f"{max_rows} rows make no map; ask for two or more")
    rows = draw(len(table), max_rows)
    embeddings = gather(table, rows)
    paths, start, end = [table.paths[row] for row in rows], table.start[rows], table.end[rows]
    files = list(dict.fromkeys(paths))
    places = {path: locate(table, path) for path in files}
    if gone := missing(places.values()):
        warnings.warn(
            f"{len(gone)} of {len(files)} recordings are not where {table.file} says, such as {gone[0]}; they stay "
            "silent",
            stacklevel=2,
        )
    common, number = common_folder(files), {path: k for k, path in enumerate(files)}
    data = {
        "files": [[os.path.relpath(path, common) if common else path, link(places[path], out)] for path in files],
        "rows": [[number[path], *span] for path, *span in zip(paths, start.round(3), end.round(3), strict=True)],
        "whole": table.metadata["kind"] == "file",
        "views": {name: _view(embeddings[:, columns], paths, start) for name, columns in views.items()},
    }
    page = render(
        Path(__file__).with_name("explore.html.j2"),
        title=f"Recordings of {table.file.name}",
        about=_about(table, len(rows), len(files)),
        data=data,
        plotly=Markup(get_plotlyjs()),
    )
    write_atomic(out, page)
    return len(rows)


def draw(total: int, most: int) -> np.ndarray:
    """Draw up to ``most`` rows of ``total``, in rising order, with a fixed seed.

    >>> draw(3, 5).tolist()
    [0, 1, 2]
    >>> len(set(draw(1000, 10).tolist()))
    10
    """
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(0).choice(total, most, replace=False))


def gather(table: Table, rows: np.ndarray) -> np.ndarray:
    """The embeddings of ``rows``, in rising order, float32 [row, dim], read a block at a time.

    Raises:
        ValueError: one is not finite.
    """
    parts, start = [], 0
    for block in table.blocks():
        inside = rows[(rows >= start) & (rows < start + len(block))] - start
        parts.append(block[inside])
        if not (finite := np.isfinite(parts[-1]).all(axis=1)).all():
            row = start + inside[~finite][0]
            raise ValueError(f"{table.file}: the embedding of row {row} is not finite; embed {table.paths[row]} again")
        start += len(block)
    return np.concatenate(parts)


def _view(embeddings: np.ndarray, paths: list[str], start: np.ndarray) -> dict[str, Any]:
    """What the page shows of one view, as JSON values."""
    found = [
        nearest([embeddings], embeddings[k : k + _QUERIES], NEIGHBOURS, np.arange(len(embeddings))[k : k + _QUERIES])
        for k in range(0, len(embeddings), _QUERIES)
    ]
    points, how = project(embeddings)
    return {
        "points": points.round(4).tolist(),
        "how": how,
        "neighbours": np.concatenate([rows for rows, _ in found]).tolist(),
        "similarities": np.concatenate([values for _, values in found]).round(3).tolist(),
        "groupings": [_grouping(grouping, embeddings) for grouping in groupings(paths, start, embeddings)],
    }


def _grouping(grouping: Grouping, embeddings: np.ndarray) -> dict[str, Any]:
    hours = sample_colorscale(cyclical.Phase, np.arange(24) / 24) if grouping.cyclic else None
    return {
        "name": grouping.name,
        "labels": grouping.labels,
        "of": grouping.of.tolist(),
        "typical": typical(grouping, embeddings, TYPICAL),
        "colours": hours,
    }


def _about(table: Table, rows: int, files: int) -> list[str]:
    """Sentences on what the page shows."""
    made = table.metadata
    what = {"file": "recordings", "window": "windows", "frame": "frames"}[made["kind"]]
    count = f"{rows:,}" if rows == len(table) else f"{rows:,} of {len(table):,}, drawn with a fixed seed,"
    of = "" if made["kind"] == "file" else f" of {files:,} recordings"
    return [
        f"{count} {what}{of}, embedded by {made['model'] or 'the bundled model'}. Marks that lie close together are "
        "alike; the distances between groups, and their directions, mean little.",
        "Click a mark or a name to hear the recording, next to its nearest neighbours by cosine similarity. Scroll to "
        "zoom the map, and drag to move it. A click in the legend hides a group, and a double click shows it alone.",
    ]
