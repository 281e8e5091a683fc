"""How heareval 2021.1.3 divides a probe's training set into batches, and which sizes crash its training.

Every hidden layer of a probe has BatchNorm, which cannot normalise a batch of one row. heareval uses batches of 1,024
rows in all its grids and keeps the last one, so 1,025 or 2,049 rows fail with "Expected more than 1 value per channel",
after all embeddings are made. A row is a clip, or in an event task a frame.

Source: ``PARAM_GRID``, ``data_splits_from_folds`` and ``dataloader_from_split_name`` in
``heareval/predictions/task_predictions.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Rows in a batch, in each of heareval's grids.
BATCH_SIZE = 1024


def training_sizes(sizes: Mapping[str, int], split_mode: str) -> dict[str, int]:
    """Return how many rows each probe of a task trains on.

    A ``trainvaltest`` task trains one probe, on ``train``. A k-fold task trains one per test fold, on all folds except
    that one and the next by name, which is the validation set.

    Args:
        sizes: Split → rows; a missing split has none.
        split_mode: Of the task's metadata.

    Returns:
        Training set, in words → rows.

    >>> training_sizes({"train": 60, "valid": 20, "test": 20}, "trainvaltest")
    {'train': 60}
    >>> training_sizes({"fold00": 1, "fold01": 2, "fold02": 4, "fold03": 8}, "presplit_kfold")  # doctest: +ELLIPSIS
    {'all folds but fold00 and fold01': 12, 'all folds but fold01 and fold02': 9, ...}
    """
    if split_mode == "trainvaltest":
        return {"train": sizes.get("train", 0)}
    folds = sorted(sizes)
    pairs = zip(folds, [*folds[1:], *folds[:1]], strict=True)
    return {
        f"all folds but {test} and {valid}": sum(sizes[fold] for fold in folds if fold not in (test, valid))
        for test, valid in pairs
    }


def has_lone_row(rows: int, batch_size: int = BATCH_SIZE) -> bool:
    """Return whether a training set of ``rows`` has a batch of one row, on which BatchNorm raises.

    >>> [rows for rows in (0, 1, 2, 1024, 1025, 2048, 2049) if has_lone_row(rows)]
    [1, 1025, 2049]
    """
    return rows > 0 and (rows - 1) % batch_size == 0


def batch_sizes(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the batch sizes that a task's probes may use: those of its own grid if it has one, else heareval's.

    >>> batch_sizes({}), batch_sizes({"evaluation_params": {"task_specific_param_grid": {"batch_size": [64, 256]}}})
    ((1024,), (64, 256))
    """
    own = _grid(metadata).get("batch_size")
    sizes = tuple(size for size in own if isinstance(size, int) and size > 0) if isinstance(own, list) else ()
    return sizes or (BATCH_SIZE,)


def lone_rows(metadata: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Yield the training sets of a task whose last batch would be a single row.

    Tasks whose own grid has only linear probes, which have no BatchNorm, have none.

    Args:
        metadata: Of the task.
        sizes: Split → rows.

    Yields:
        Training set in words, its rows, the batch size.

    >>> list(lone_rows({"split_mode": "trainvaltest"}, {"train": 1025, "valid": 1, "test": 1}))
    [('train', 1025, 1024)]
    """
    if _grid(metadata).get("hidden_layers") == [0]:
        return
    for name, rows in training_sizes(sizes, str(metadata["split_mode"])).items():
        for batch_size in batch_sizes(metadata):
            if has_lone_row(rows, batch_size):
                yield name, rows, batch_size


def _grid(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the task's own grid of probe settings; empty if it has none."""
    params = metadata.get("evaluation_params")
    grid = params.get("task_specific_param_grid") if isinstance(params, Mapping) else None
    return grid if isinstance(grid, Mapping) else {}
