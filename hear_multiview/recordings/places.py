"""Where the recordings of a table are, and how they are shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from hear_multiview.recordings.table import Table


def locate(table: Table, path: str) -> Path:
    """The file of a recording, which may not be there.

    A table holds paths as they were given to the command that wrote it. A relative one is looked for in the folder of
    this process first, then beside the table.
    """
    beside = table.file.absolute().parent / path
    return beside if not os.path.exists(path) and beside.exists() else Path(path).absolute()


def link(file: Path, page: Path) -> str:
    """The address of ``file`` in a page that will be at ``page``: relative, so that both may move together."""
    return quote(os.fsencode(os.path.relpath(file.absolute(), page.absolute().parent)))


def missing(files: Iterable[Path]) -> list[Path]:
    """Those that are not there."""
    return [file for file in files if not file.exists()]


def seconds(start: float, end: float) -> str:
    """A stretch of a recording.

    >>> seconds(3600.0, 3610.25)
    '3600.00–3610.25 s'
    """
    return f"{start:.2f}–{end:.2f} s"
