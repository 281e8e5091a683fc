"""Rows that are written while a table is in the making, in a folder beside it, so that a killed run continues.

Every process of a run has a pair of files of its own. ``<name>.rows`` has the rows, one after the other; a line of
``<name>.jsonl`` says that a recording is done, and where its rows are, with their checksum. Rows without a line, of a
recording in which the run was killed, are never read. Both files are only appended to, and a new process begins new
ones.
"""

from __future__ import annotations

import json
import operator
import os
import shutil
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hear_multiview.recordings.table import GROUP_ROWS, Rows
from sonyc_tasks.files import read_json_object, write_json

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Located:
    """Rows of a recording in a file of parts."""

    file: Path
    offset: int  # bytes
    rows: int
    crc32: int


def require_same_settings(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str, remedy: str) -> None:
    """Raise ValueError, which names the first difference, unless ``found`` has everything that is ``wanted``."""
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ValueError(f"{what} has {name} {found.get(name)}, not {value}; {remedy}")


class Parts:
    """The rows of a table in the making.

    Attributes:
        folder: beside the table.
        done: by sha256 of the recording's file, where its rows are: of earlier runs, and of this process.
    """

    def __init__(self, folder: Path, dim: int, settings: Mapping[str, Any]) -> None:
        """Open the folder, or make it.

        Args:
            folder: where to write.
            dim: number of dimensions.
            settings: what rows depend on, apart from the recording.

        Raises:
            ValueError: there are rows that were made with other settings.
        """
        self.folder = folder
        self._record = np.dtype([("start", "<f8"), ("end", "<f8"), ("embedding", "<f4", (dim,))])
        if any(index.stat().st_size for index in folder.glob("*.jsonl")):
            found = read_json_object(folder / _SETTINGS, f"delete {folder}")
            remedy = "delete that folder, or give the options that it was begun with"
            require_same_settings(found, settings, f"the unfinished table in {folder}", remedy)
        else:
            write_json(folder / _SETTINGS, dict(settings))
        self.done = self._read_done()
        self._stack = ExitStack()
        self._begun: tuple[int, int, int] | None = None  # offset, rows and checksum of the recording in the making

    def __enter__(self) -> Parts:
        name = self.folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._file = name.with_suffix(".rows")
        self._rows = self._stack.enter_context(self._file.open("xb"))
        self._lines = self._stack.enter_context(name.with_suffix(".jsonl").open("x", encoding="utf-8"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the files. Those without a recording are deleted, and so is a folder in which nothing is done."""
        wrote = self._lines.tell() > 0
        self._stack.close()
        if not wrote:
            for file in (self._file, self._file.with_suffix(".jsonl")):
                file.unlink(missing_ok=True)
        if not any(self.folder.glob("*.jsonl")):
            self.remove()

    def append(self, rows: Rows) -> None:
        """Write further rows of the recording in the making."""
        records = np.empty(len(rows.start), self._record)
        records["start"], records["end"], records["embedding"] = rows.start, rows.end, rows.embeddings
        offset, count, crc = self._begun or (self._rows.tell(), 0, 0)
        data = records.tobytes()
        self._rows.write(data)
        self._begun = offset, count + len(records), zlib.crc32(data, crc)

    def finish(self, sha256: str) -> None:
        """Say that the recording in the making is done."""
        offset, count, crc = self._begun or (self._rows.tell(), 0, 0)
        self._begun = None
        self._rows.flush()
        line = {"sha256": sha256, "offset": offset, "rows": count, "crc32": crc}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        self.done[sha256] = Located(self._file, offset, count, crc)

    def drop(self) -> None:
        """Forget the rows of the recording in the making."""
        self._begun = None

    def refresh(self) -> None:
        """Find what other processes have done."""
        self.done = self._read_done()

    def rows(self, path: str, sha256: str) -> Iterator[Rows]:
        """The rows of a recording that is done, in parts of bounded size, for the recording called ``path``."""
        for records in self._records(self.done[sha256]):
            yield Rows(path, sha256, records["start"], records["end"], records["embedding"])

    def remove(self) -> None:
        """Delete the folder; first what says that something is done, which counts only beside the settings."""
        for index in self.folder.glob("*.jsonl"):
            index.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _records(self, place: Located) -> Iterator[np.ndarray]:
        for first in range(0, place.rows, GROUP_ROWS):
            offset = place.offset + first * self._record.itemsize
            yield np.fromfile(place.file, self._record, min(GROUP_ROWS, place.rows - first), offset=offset)

    def _read_done(self) -> dict[str, Located]:
        """What is done, without lines that are cut short and rows that do not match their checksum."""
        found = {}
        for index in sorted(self.folder.glob("*.jsonl")):
            for line in index.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    offset, rows, crc32 = (operator.index(entry[name]) for name in ("offset", "rows", "crc32"))
                    place, sha256 = Located(index.with_suffix(".rows"), offset, rows, crc32), str(entry["sha256"])
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue
                if self._intact(place):
                    found[sha256] = place
        return found

    def _intact(self, place: Located) -> bool:
        crc = 0
        try:
            if (
                min(place.offset, place.rows) < 0
                or place.offset + place.rows * self._record.itemsize > place.file.stat().st_size
            ):
                return False
            for records in self._records(place):
                crc = zlib.crc32(records.tobytes(), crc)
        except (OSError, ValueError):
            return False
        return crc == place.crc32
