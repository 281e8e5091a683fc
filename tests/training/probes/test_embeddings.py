"""Embeddings are read whole, or the file that is not is named."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from training.probes.embeddings import read_embeddings


def stored(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_they_come_in_order(tmp_path: Path) -> None:
    files = [tmp_path / f"{k}.npy" for k in range(3)]
    for k, file in enumerate(files):
        np.save(file, np.full(4, k, np.float32))
    assert read_embeddings(files)[:, 0].tolist() == [0, 1, 2]


WHOLE = stored(np.ones(4, np.float32))


@pytest.mark.parametrize(
    "content",
    [
        *(WHOLE[:kept] for kept in range(0, len(WHOLE), 5)),
        b"<!DOCTYPE html>",
        stored(np.ones(3, np.float32)),
        stored(np.ones((4, 2), np.float32)),
        stored(np.ones(4, bool)),
        stored(np.array(["a"] * 4)),
        stored(np.array([1, np.nan, 0, 0], np.float32)),
        stored(np.array([1, np.inf, 0, 0], np.float32)),
    ],
)
def test_what_is_not_whole_is_named(tmp_path: Path, content: bytes) -> None:
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    good.write_bytes(WHOLE)
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=str(bad)):
        read_embeddings([good, bad])


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "gone.npy")):
        read_embeddings([tmp_path / "gone.npy"])
