"""A table of embeddings on disk: one row per recording, window or frame, with its place in the recording.

Three formats, by suffix:

* ``.parquet``: columns ``path``, ``start``, ``end``, ``sha256`` and ``embedding``, a list of fixed size. The metadata
  is JSON under the key ``hear_multiview``.
* ``.npy``: the embeddings alone, float32 [row, dim]. Beside it lie a ``.csv`` with the other columns and a ``.json``
  with the metadata.
* ``.zarr``: a folder with one array per column. The metadata are its attributes.

``sha256`` is of the recording's file. Rows of one recording are neighbours, in the order of time. The first and the
last format need a library each, which ``pip install 'hear_multiview[recordings]'`` has.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hear_multiview.files import first_line
from sonyc_tasks.files import read_json_object, replace_folder, replacing, sync
from sonyc_tasks.tasks.temporary_folder import build_dir

#: Version of the layout, in the metadata.
FORMAT = 1
#: Rows in a row group or chunk: 32 MB at 1024 dimensions.
GROUP_ROWS = 8192
COLUMNS = ("path", "start", "end", "sha256")
_KEY = b"hear_multiview"
_REMEDY = "write it again with python -m hear_multiview embed"


@dataclass(frozen=True)
class Table:
    """Embeddings on disk.

    Attributes:
        file: the file or folder.
        metadata: what made the embeddings: ``model``, ``checkpoint_sha256``, ``frontend``, ``frontend_sha256``,
            ``view``, ``precision``, ``sample_rate`` (Hz), ``kind`` (``file``, ``window`` or ``frame``), ``window`` and
            ``hop`` (seconds, or None), ``version`` of hear_multiview, and ``versions`` of other packages.
        dim: number of dimensions.
        paths: the recording of each row, as it was given to the command.
        start, end: where in the recording, in seconds, float64 [row].
        sha256: of the recording's file, in hexadecimal, by row.
    """

    file: Path
    metadata: dict[str, Any]
    dim: int
    paths: list[str]
    start: np.ndarray
    end: np.ndarray
    sha256: list[str]
    _read: Callable[[int, int], np.ndarray]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.paths)

    def blocks(self, rows: int = GROUP_ROWS) -> Iterator[np.ndarray]:
        """Yield all embeddings in order, up to ``rows`` at a time, float32 [row, dim]; memory is that of a block."""
        for start in range(0, len(self), rows):
            yield self.rows(start, min(start + rows, len(self)))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The embeddings of rows ``start`` to ``stop``, float32 [row, dim].

        Raises:
            IndexError: the table has fewer rows.
            ValueError: the file cannot be read.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"{self.file} has rows 0 to {len(self) - 1}, not {start} to {stop - 1}; give others")
        try:
            found = np.ascontiguousarray(self._read(start, stop), dtype=np.float32)
        except Exception as error:  # as in `open_table`
            raise ValueError(f"{self.file} cannot be read ({first_line(error)}); {_REMEDY}") from error
        if found.shape != (stop - start, self.dim):
            raise ValueError(f"{self.file} is damaged, rows {start} to {stop - 1} are not all there; {_REMEDY}")
        return found

    def row(self, index: int) -> np.ndarray:
        """The embedding of one row, float32 [dim]; a negative ``index`` counts from the end."""
        index += len(self) if index < 0 else 0
        return self.rows(index, index + 1)[0]


@dataclass(frozen=True)
class Rows:
    """Neighbouring rows of one recording, to be written: columns as in `Table`, ``embeddings`` float32 [row, dim]."""

    path: str
    sha256: str
    start: np.ndarray
    end: np.ndarray
    embeddings: np.ndarray


def open_table(path: str | os.PathLike[str]) -> Table:
    """Open a table; embeddings are read when they are asked for.

    Raises:
        FileNotFoundError: there is none.
        ValueError: an unknown suffix, a missing library, or a file that is damaged or not such a table.
    """
    path = Path(path)
    check_format(path)
    finish_table(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}; write it with python -m hear_multiview embed")
    try:
        table = _FORMATS[path.suffix][0](path)
    except Exception as error:  # three libraries, each of which can raise anything on another kind of file
        raise ValueError(f"{path} is not a table of embeddings ({first_line(error)}); {_REMEDY}") from error
    if table.metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {table.metadata.get('format')}, but this version of hear_multiview reads {FORMAT}; use "
            "the version that wrote it"
        )
    if not len(table.paths) == len(table.start) == len(table.end) == len(table.sha256):
        raise ValueError(f"{path} is damaged, its columns differ in length; {_REMEDY}")
    return table


def write_table(path: Path, rows: Iterable[Rows], *, total: int, dim: int, metadata: Mapping[str, Any]) -> None:
    """Write a table, whole or not at all, in bounded memory.

    Args:
        path: the file, or folder of a ``.zarr``; replaced where it exists.
        rows: those of the table, in order.
        total: how many there are.
        dim: number of dimensions.
        metadata: see `Table`.

    Raises:
        ValueError: an unknown suffix, a missing library, or another number of rows.
    """
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _FORMATS[path.suffix][1](path, _grouped(rows, total, path), total, dim, {"format": FORMAT, **metadata})


def check_format(path: Path) -> None:
    """Raise ValueError unless tables with the suffix of ``path`` can be read and written here."""
    if path.suffix not in _FORMATS:
        raise ValueError(f"{path} has no suffix of a table; choose from {', '.join(_FORMATS)}")
    if library := {".parquet": "pyarrow.parquet", ".zarr": "zarr"}.get(path.suffix):
        _library(library, path)


def companions(path: Path) -> list[Path]:
    """All files and folders of the table ``path``."""
    return [path, path.with_suffix(".csv"), path.with_suffix(".json")] if path.suffix == ".npy" else [path]


def _library(name: str, path: Path) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(
            f"{path} needs {name.partition('.')[0]}; run pip install 'hear_multiview[recordings]', or give a name that "
            "ends in .npy"
        ) from None


def _joined(batches: Iterable[Iterable[Sequence[Any]]]) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """The `COLUMNS` of consecutive batches. Equal texts are one object: there are millions of rows and few files."""
    texts: dict[str, str] = {}
    paths, starts, ends, digests = list[str](), [np.empty(0)], [np.empty(0)], list[str]()
    for path, start, end, sha256 in batches:
        paths += [texts.setdefault(text, text) for text in path]
        digests += [texts.setdefault(text, text) for text in sha256]
        starts.append(np.asarray(start, dtype=np.float64))
        ends.append(np.asarray(end, dtype=np.float64))
    return paths, np.concatenate(starts), np.concatenate(ends), digests


@dataclass(frozen=True)
class _Group:
    """Rows of any recordings, by column."""

    path: list[str]
    start: np.ndarray
    end: np.ndarray
    sha256: list[str]
    embeddings: np.ndarray

    def __len__(self) -> int:
        return len(self.path)


def _grouped(rows: Iterable[Rows], total: int, path: Path) -> Iterator[_Group]:
    """All ``rows`` in groups of `GROUP_ROWS`, only the last one shorter: the same however they come."""
    waiting: list[Rows] = []
    held = seen = 0  # rows that are waiting, and rows that have gone
    for some in rows:
        for first in range(0, len(some.start), GROUP_ROWS):
            part = slice(first, first + GROUP_ROWS)
            waiting.append(Rows(some.path, some.sha256, some.start[part], some.end[part], some.embeddings[part]))
            held += len(waiting[-1].start)
            if held >= GROUP_ROWS:
                group, waiting = _cut(waiting)
                held -= len(group)
                seen += len(group)
                yield group
    if waiting:
        group, _ = _cut(waiting)
        seen += len(group)
        yield group
    if seen != total:
        raise ValueError(f"{path} has {seen} rows of {total}; run the command again")


def _cut(waiting: list[Rows]) -> tuple[_Group, list[Rows]]:
    """The first `GROUP_ROWS` rows of ``waiting``, and the rest."""
    lengths = [len(part.start) for part in waiting]
    rest = max(sum(lengths) - GROUP_ROWS, 0)
    last = waiting[-1]
    kept = len(last.start) - rest
    head = [*waiting[:-1], Rows(last.path, last.sha256, last.start[:kept], last.end[:kept], last.embeddings[:kept])]
    tail = Rows(last.path, last.sha256, last.start[kept:], last.end[kept:], last.embeddings[kept:])
    group = _Group(
        [part.path for part in head for _ in part.start],
        np.concatenate([part.start for part in head]),
        np.concatenate([part.end for part in head]),
        [part.sha256 for part in head for _ in part.start],
        np.concatenate([part.embeddings for part in head]),
    )
    return group, [tail] if rest else []


# Parquet


def _open_parquet(path: Path) -> Table:
    parquet = _library("pyarrow.parquet", path)
    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    metadata = json.loads((schema.metadata or {})[_KEY])
    dim = schema.field("embedding").type.list_size
    columns = _joined(
        [batch["path"].to_pylist(), batch["start"].to_numpy(), batch["end"].to_numpy(), batch["sha256"].to_pylist()]
        for batch in file.iter_batches(GROUP_ROWS, columns=list(COLUMNS))
    )
    edges = np.cumsum([0, *(file.metadata.row_group(k).num_rows for k in range(file.num_row_groups))])
    last: dict[int, np.ndarray] = {}  # the group that was read last

    def group(index: int) -> np.ndarray:
        if index not in last:
            found = file.read_row_group(index, columns=["embedding"]).column(0).combine_chunks()
            last.clear()
            last[index] = found.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        return last[index]

    def read(start: int, stop: int) -> np.ndarray:
        first, after = np.searchsorted(edges, start, "right") - 1, np.searchsorted(edges, stop, "left")
        parts = [
            group(k)[max(start - edges[k], 0) : stop - edges[k]] for k in range(int(first), int(max(after, first)))
        ]
        return np.concatenate(parts) if parts else np.empty((0, dim), np.float32)

    return Table(path, metadata, dim, *columns, read)


def _write_parquet(path: Path, groups: Iterable[_Group], total: int, dim: int, metadata: dict[str, Any]) -> None:
    parquet, arrow = _library("pyarrow.parquet", path), _library("pyarrow", path)
    schema = arrow.schema(
        [
            ("path", arrow.string()),
            ("start", arrow.float64()),
            ("end", arrow.float64()),
            ("sha256", arrow.string()),
            ("embedding", arrow.list_(arrow.float32(), dim)),
        ],
        metadata={_KEY: json.dumps(metadata)},
    )
    # Embeddings are noise in their last bits: neither a dictionary nor a compressor makes them smaller.
    dictionary, compression = ["path", "sha256"], {name: "zstd" for name in COLUMNS}
    with (
        replacing(path) as part,
        parquet.ParquetWriter(part, schema, use_dictionary=dictionary, compression=compression) as writer,
    ):
        for group in groups:
            flat = arrow.array(np.ascontiguousarray(group.embeddings, dtype=np.float32).ravel())
            lists = arrow.FixedSizeListArray.from_arrays(flat, dim)
            columns = [group.path, group.start, group.end, group.sha256, lists]
            writer.write_table(arrow.table(columns, schema=schema), row_group_size=GROUP_ROWS)


# npy and csv


def _open_npy(path: Path) -> Table:
    _, table, about = companions(path)
    metadata = read_json_object(about, _REMEDY)
    with table.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(header := next(lines, [])) != COLUMNS:
            raise ValueError(f"{table} has columns {', '.join(header)}, not {', '.join(COLUMNS)}")
        columns = _joined(zip(*some, strict=True) for some in iter(lambda: list(islice(lines, GROUP_ROWS)), []))
    embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(columns[0]):
        raise ValueError(f"it holds {embeddings.dtype} {embeddings.shape}, and {table} {len(columns[0])} rows")
    dim = embeddings.shape[1]

    def read(start: int, stop: int) -> np.ndarray:
        # Read, not mapped: pages of a map stay in memory.
        return np.fromfile(path, np.float32, (stop - start) * dim, offset=offset + start * dim * 4).reshape(-1, dim)

    offset = embeddings.offset if isinstance(embeddings, np.memmap) else 0
    return Table(path, metadata, dim, *columns, read)


def _finished(path: Path) -> Path:
    """Where the three files of a new table ``path`` lie together, from when all are whole until all are in place."""
    return path.with_name(f"{path.name}.new")


def finish_table(path: Path) -> None:
    """Move the files of a new table ``path`` into place, where a killed process, or this one, has only written them."""
    if (finished := _finished(path)).is_dir():
        for part in companions(path):
            with suppress(FileNotFoundError):  # in place already
                os.replace(finished / part.name, part)
        sync(path.parent)
        with suppress(FileNotFoundError):  # another process was as far
            finished.rmdir()


def _write_npy(path: Path, groups: Iterable[_Group], total: int, dim: int, metadata: dict[str, Any]) -> None:
    with build_dir(path) as work:
        (new := work / "new").mkdir()
        array, table, about = (new / part.name for part in companions(path))
        with array.open("wb") as file, table.open("w", newline="", encoding="utf-8") as text:
            header = {"descr": "<f4", "fortran_order": False, "shape": (total, dim)}
            np.lib.format.write_array_header_1_0(file, header)
            writer = csv.writer(text)
            writer.writerow(COLUMNS)
            for group in groups:
                file.write(np.ascontiguousarray(group.embeddings, dtype="<f4").data)
                writer.writerows(zip(group.path, group.start.tolist(), group.end.tolist(), group.sha256, strict=True))
        about.write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")
        replace_folder(new, _finished(path))
    finish_table(path)


# zarr


def _open_zarr(path: Path) -> Table:
    zarr = _library("zarr", path)
    group = zarr.open_group(str(path), mode="r")
    embeddings = group["embedding"]
    metadata, dim, rows = dict(group.attrs), embeddings.shape[1], embeddings.shape[0]
    if odd := [name for name in COLUMNS if group[name].shape != (rows,)]:
        raise ValueError(f"it holds {rows} embeddings, and {group[odd[0]].shape} of {odd[0]}")
    columns = _joined(
        [group[name][start : start + GROUP_ROWS].tolist() for name in COLUMNS] for start in range(0, rows, GROUP_ROWS)
    )

    def read(start: int, stop: int) -> np.ndarray:
        return np.asarray(embeddings[start:stop])

    return Table(path, metadata, dim, *columns, read)


def _write_zarr(path: Path, groups: Iterable[_Group], total: int, dim: int, metadata: dict[str, Any]) -> None:
    zarr = _library("zarr", path)
    # Format 2 is the one that every version of zarr reads.
    layout: dict[str, Any] = {} if zarr.__version__.startswith("2.") else {"zarr_format": 2}
    with build_dir(path) as work:
        part = work / path.name
        whole = zarr.open_group(str(part), mode="w", **layout)
        whole.attrs.update(metadata)

        def array(name: str, dtype: Any, *shape: int) -> Any:
            place = {"store": str(part / name), "shape": (total, *shape), "chunks": (GROUP_ROWS, *shape)}
            return zarr.create(**place, dtype=dtype, **layout, **({"compressor": None} if shape else {}))

        kinds = (str, np.float64, np.float64, str)
        columns = [array(name, kind) for name, kind in zip(COLUMNS, kinds, strict=True)]
        embeddings, start = array("embedding", np.float32, dim), 0
        for group in groups:
            stop = start + len(group)
            for column, name in zip(columns, COLUMNS, strict=True):
                values = getattr(group, name)
                column[start:stop] = np.array(values, dtype=object) if isinstance(values, list) else values
            embeddings[start:stop] = group.embeddings
            start = stop
        replace_folder(part, path)


_Write = Callable[[Path, Iterable[_Group], int, int, dict[str, Any]], None]
#: Suffix to what opens and what writes such a table.
_FORMATS: dict[str, tuple[Callable[[Path], Table], _Write]] = {
    ".parquet": (_open_parquet, _write_parquet),
    ".npy": (_open_npy, _write_npy),
    ".zarr": (_open_zarr, _write_zarr),
}
