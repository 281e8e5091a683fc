"""Tables of embeddings: every format gives back what was written, in blocks of any size."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hear_multiview.recordings import table as tables
from hear_multiview.recordings.table import Rows, open_table, write_table
from sonyc_tasks import files

SUFFIXES = (".parquet", ".npy", ".zarr")
METADATA = {"model": "bundled", "view": "private", "kind": "window", "versions": {"torch": "2"}, "hop": 0.1}


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"embeddings{request.param}"


def recordings(rng: np.random.Generator, lengths: tuple[int, ...], dim: int) -> list[Rows]:
    names = ["a.wav", 'street, "west"\n/ü 1.flac', "b/c.mp3", "d.ogg"]
    return [
        Rows(
            names[k % len(names)],
            f"{k:064x}",
            (start := rng.random(n)),
            start + 0.1,
            rng.standard_normal((n, dim)).astype(np.float32),
        )
        for k, n in enumerate(lengths)
    ]


def test_the_work_for_a_row_does_not_grow_with_their_number(tmp_path: Path) -> None:
    class Counted(np.ndarray):
        asked = 0

        def __len__(self) -> int:
            Counted.asked += 1
            return super().__len__()

    rows, start = 3000, np.zeros(1).view(Counted)
    single = (Rows("a.wav", "0" * 64, start, start, np.zeros((1, 2), np.float32)) for _ in range(rows))
    write_table(tmp_path / "x.npy", single, total=rows, dim=2, metadata=METADATA)
    assert rows <= Counted.asked < 20 * rows


@pytest.mark.parametrize("lengths", [(1,), (3, 0, 1, 2), (30, 7)])
def test_every_format_gives_back_what_was_written(
    path: Path, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "GROUP_ROWS", 4)
    written = recordings(np.random.default_rng(0), lengths, dim=6)
    write_table(path, written, total=sum(lengths), dim=6, metadata=METADATA)
    table = open_table(path)
    expected = np.concatenate([part.embeddings for part in written])
    assert len(table) == sum(lengths)
    assert table.dim == 6
    assert table.paths == [part.path for part in written for _ in part.start]
    assert table.sha256 == [part.sha256 for part in written for _ in part.start]
    for name in ("start", "end"):
        np.testing.assert_array_equal(getattr(table, name), np.concatenate([getattr(part, name) for part in written]))
        assert getattr(table, name).dtype == np.float64
    assert {key: table.metadata[key] for key in METADATA} == METADATA
    for rows in (1, 3, 4, 100):
        blocks = list(table.blocks(rows))
        assert all(block.dtype == np.float32 and len(block) <= rows for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
    for index in (0, -1, len(table) // 2):
        np.testing.assert_array_equal(table.row(index), expected[index])
    np.testing.assert_array_equal(table.rows(0, len(table)), expected)
    with pytest.raises(IndexError, match=path.name):
        table.row(len(table))


def test_texts_that_repeat_are_one_object(path: Path) -> None:
    write_table(path, recordings(np.random.default_rng(0), (50,), dim=2), total=50, dim=2, metadata=METADATA)
    table = open_table(path)
    assert len({id(text) for text in table.paths}) == len({id(text) for text in table.sha256}) == 1


def test_an_empty_table_can_be_read(path: Path) -> None:
    write_table(path, [], total=0, dim=6, metadata=METADATA)
    table = open_table(path)
    assert len(table) == 0
    assert list(table.blocks()) == []
    assert table.dim == 6


def test_rewriting_replaces_and_an_error_leaves_the_table_as_it_was(path: Path) -> None:
    first, second = (recordings(np.random.default_rng(k), (2, 3), dim=4) for k in (1, 2))
    write_table(path, first, total=5, dim=4, metadata=METADATA)

    def broken() -> Iterator[Rows]:
        yield second[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_table(path, broken(), total=5, dim=4, metadata=METADATA)
    with pytest.raises(ValueError, match=path.name):
        write_table(path, second, total=6, dim=4, metadata=METADATA)
    np.testing.assert_array_equal(open_table(path).row(0), first[0].embeddings[0])
    write_table(path, second, total=5, dim=4, metadata=METADATA)
    np.testing.assert_array_equal(open_table(path).row(0), second[0].embeddings[0])
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(p.name for p in tables.companions(path))


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = recordings(np.random.default_rng(3), (5, 4), dim=4)
    parts = [
        Rows(r.path, r.sha256, r.start[s], r.end[s], r.embeddings[s]) for r in rows for s in (np.s_[:2], np.s_[2:])
    ]
    for name, given in (("whole", rows), ("parts", parts)):
        write_table(tmp_path / f"{name}.parquet", given, total=9, dim=4, metadata=METADATA)
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "parts.parquet").read_bytes()


def test_other_libraries_read_the_files(tmp_path: Path) -> None:
    rows = recordings(np.random.default_rng(4), (2,), dim=4)
    write_table(tmp_path / "x.npy", rows, total=2, dim=4, metadata=METADATA)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), rows[0].embeddings)
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        assert [line["path"] for line in csv.DictReader(file)] == ["a.wav", "a.wav"]
    pytest.importorskip("pyarrow")
    import pandas

    write_table(tmp_path / "x.parquet", rows, total=2, dim=4, metadata=METADATA)
    frame = pandas.read_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(np.stack(frame["embedding"].tolist()), rows[0].embeddings)


def test_what_is_not_a_table_is_refused(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=path.name):
        open_table(path)
    if path.suffix == ".zarr":
        path.mkdir()
    else:
        path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=path.name):
        open_table(path)
    with pytest.raises(ValueError, match=r"table\.xlsx.*\.parquet"):
        open_table(path.parent / "table.xlsx")


@pytest.mark.parametrize(("suffix", "library"), [(".parquet", "pyarrow"), (".zarr", "zarr")])
def test_a_missing_library_is_named(suffix: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (library, "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=library):
        write_table(tmp_path / f"x{suffix}", [], total=0, dim=4, metadata={})


def test_a_process_that_ends_between_two_files_leaves_the_old_table_or_the_new_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each change of a name in turn: what is read next is whole, and the next write leaves nothing behind."""
    first, second = (recordings(np.random.default_rng(k), lengths, dim=4) for k, lengths in ((1, (2, 3)), (2, (4,))))
    ends = 0
    while True:
        write_table(path, first, total=5, dim=4, metadata=METADATA)
        with monkeypatch.context() as patch:
            left = [ends]
            for module, name in ((os, "replace"), (os, "rename"), (files, "_exchanged")):
                patch.setattr(module, name, ending(getattr(module, name), path.parent, left))
            try:
                write_table(path, second, total=4, dim=4, metadata=METADATA)
            except KeyboardInterrupt:
                pass
            else:
                break
        table = open_table(path)
        expected = first if len(table) == 5 else second
        np.testing.assert_array_equal(table.row(0), expected[0].embeddings[0])
        assert table.sha256[0] == expected[0].sha256
        ends += 1
    assert ends >= 1
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(p.name for p in tables.companions(path))


def ending(change: Callable[..., Any], folder: Path, left: list[int]) -> Callable[..., Any]:
    """``change``, which ends the process, as far as a test can, at the change after ``left`` to names in ``folder``."""

    def or_end(one: Path, other: Path) -> Any:
        if Path(other).parent == folder:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
        return change(one, other)

    return or_end
