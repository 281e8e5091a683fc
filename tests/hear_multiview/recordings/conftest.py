"""Recordings of every kind, made by libsndfile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hear_multiview.recordings.table import Rows, Table, open_table, write_table


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[..., Table]:
    """``make_table(embeddings, paths, start=…, end=…, **metadata)``: a table on disk, opened."""

    def make(embeddings: np.ndarray, paths: list[str], start: float = 0.0, end: float = 0.5, **metadata: str) -> Table:
        file = tmp_path / "table.npy"
        span = np.array([start]), np.array([end])
        rows = [Rows(path, "0" * 64, *span, row[None]) for path, row in zip(paths, embeddings, strict=True)]
        made = {"model": "", "view": "joint", "kind": "file", **metadata}
        write_table(file, rows, total=len(paths), dim=embeddings.shape[1], metadata=made)
        return open_table(file)

    return make
