"""Exact search by cosine similarity, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Similarities that agree to this many decimals are ties. That is finer than embeddings are, in float32, and coarser
#: than the rounding of a sum in float64, which depends on the processor.
DECIMALS = 9


def nearest(
    blocks: Iterable[np.ndarray], queries: np.ndarray, count: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows most similar to each query, by cosine similarity ``x · y / (|x| |y|)``, in float64.

    Every row is compared with every query, and only the best so far are kept: memory is that of one block. A vector of
    zeros has no direction; its similarity to anything is 0.

    Args:
        blocks: the rows in order, each block [row, dim].
        queries: [query, dim].
        count: how many rows to find; fewer where there are not as many.
        own: the row that each query is, int [query]; it is not among those found.

    Returns:
        Rows, int64 [query, count], the most similar first and of equally similar ones the earlier first, and their
        similarities, float64 [query, count], rounded to `DECIMALS`.

    Raises:
        ValueError: ``count`` is not positive, or a row or a query is not finite.
    """
    if count < 1:
        raise ValueError(f"{count} neighbours cannot be searched for; ask for 1 or more")
    wanted = directions(queries, "query")
    rows = np.empty((len(queries), 0), dtype=np.int64)
    similarities = np.empty((len(queries), 0))
    start = 0
    for block in blocks:
        found = np.round(wanted @ directions(block, "row", start).T, DECIMALS)
        if own is not None:
            inside = np.flatnonzero((own >= start) & (own < start + len(block)))
            found[inside, own[inside] - start] = -np.inf
        # The best so far come first, so that columns stand in the order of rows among equals.
        candidates = np.concatenate([similarities, found], axis=1)
        numbers = np.broadcast_to(np.arange(start, start + len(block)), found.shape)
        kept = _largest(candidates, count)
        rows = np.take_along_axis(np.concatenate([rows, numbers], axis=1), kept, axis=1)
        similarities = np.take_along_axis(candidates, kept, axis=1)
        start += len(block)
    # A query's own row is the last of all, where it is here at all.
    there = min(count, start - (own is not None))
    return rows[:, :there], similarities[:, :there]


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns of the ``count`` largest values of each row of [row, column], the largest first, earlier ones first."""
    count = min(count, values.shape[1])
    found = np.empty((len(values), count), dtype=np.int64)
    thresholds = np.partition(values, -count, axis=1)[:, -count] if count else values[:, :0].sum(axis=1)
    for row, (of, threshold) in enumerate(zip(values, thresholds, strict=True)):
        columns = np.flatnonzero(of >= threshold)
        found[row] = columns[np.argsort(-of[columns], kind="stable")[:count]]
    return found


def directions(vectors: np.ndarray, what: str = "row", start: int = 0) -> np.ndarray:
    """Vectors at length 1; one of zeros stays.

    Args:
        vectors: [vector, dim].
        what, start: what they are and the number of the first, for the message.

    Returns:
        float64 [vector, dim].

    Raises:
        ValueError: a vector is not finite.
    """
    exact = np.asarray(vectors, dtype=np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    if not np.isfinite(lengths).all():
        number = start + int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ValueError(f"the embedding of {what} {number} is not finite; embed the recording again")
    return exact / np.where(lengths == 0, 1.0, lengths)[:, None]
