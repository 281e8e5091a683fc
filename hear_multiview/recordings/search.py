"""The rows of a table that are most like a recording, or like another row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hear_multiview.recordings.neighbours import nearest
from hear_multiview.recordings.table import Table


@dataclass(frozen=True)
class Hit:
    """A row that was found: its number in the table, and its cosine similarity, from −1 to 1."""

    row: int
    similarity: float


def search(
    table: Table, query: np.ndarray, count: int = 10, columns: slice = slice(None), own: int | None = None
) -> list[Hit]:
    """Find the rows most similar to ``query`` by cosine, exactly, in the memory of a block of rows.

    Args:
        table: where to search.
        query: an embedding [dim] of the view that ``columns`` select.
        count: how many rows to find, at most.
        columns: the dimensions to compare, as `view_columns` gives them.
        own: the row that the query is, which is not to be found.

    Returns:
        The most similar first, and of equally similar rows the earlier first.

    Raises:
        ValueError: the table is empty, sizes differ, or an embedding is not finite.
    """
    if not len(table):
        raise ValueError(f"{table.file} has no rows to search; embed some recordings")
    size = len(range(table.dim)[columns])
    if query.shape != (size,):
        raise ValueError(
            f"the query has shape {query.shape} and rows have {size} dimensions; use the same model and view"
        )
    self_ = None if own is None else np.array([own])
    rows, similarities = nearest((block[:, columns] for block in table.blocks()), query[None], count, self_)
    return [Hit(*found) for found in zip(rows[0].tolist(), similarities[0].tolist(), strict=True)]


def view_columns(table: Table, view: str, parts: Mapping[str, int]) -> slice:
    """The columns of a table that hold ``view``: a part of a joint embedding is a range of them.

    Args:
        table: the table.
        view: the view wanted.
        parts: name to size of each part of a row of a joint table, in order.

    Raises:
        ValueError: the table does not have that view.
    """
    held = table.metadata["view"]
    if view == held:
        return slice(None)
    if held != "joint" or view not in parts:
        known = [held, *(parts if held == "joint" else ())]
        raise ValueError(
            f"{table.file} has no view {view!r}; choose from {', '.join(known)}, or embed the recordings with "
            f"--view {view}"
        )
    names = list(parts)
    start = sum(parts[name] for name in names[: names.index(view)])
    return slice(start, start + parts[view])
