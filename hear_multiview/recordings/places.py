"""Where the recordings of a table are, and how they are shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hear_multiview.recordings.table import Table


@dataclass(frozen=True)
class Stretch:
    """A part of a recording: the file, and from when to when in seconds.

    >>> Stretch(Path("a.wav"), 3600, 3610.25).seconds
    '3600.00–3610.25 s'
    """

    file: Path
    start: float
    end: float

    @classmethod
    def of_row(cls, table: Table, row: int) -> Stretch:
        """What row ``row`` of ``table`` is an embedding of."""
        return cls(locate(table, table.paths[row]), float(table.start[row]), float(table.end[row]))

    @property
    def seconds(self) -> str:
        """From when to when, as text."""
        return f"{self.start:.2f}–{self.end:.2f} s"


def locate(table: Table, path: str) -> Path:
    """The file of a recording, which may not be there.

    A table holds paths as they were given to the command that wrote it. A relative one is looked for in the folder of
    this process first, then in that of the table, and in those above it.
    """
    places = [folder / path for folder in (Path.cwd(), *table.file.absolute().parents)]
    return next((place for place in places if place.exists()), places[0])


def link(file: Path, page: Path) -> str:
    """The address of ``file`` in a page that will be at ``page``: relative, so that both may move together."""
    return quote(os.fsencode(os.path.relpath(file.absolute(), page.absolute().parent)))


def missing(files: Iterable[Path]) -> list[Path]:
    """Those that are not there."""
    return [file for file in files if not file.exists()]
