"""Small tools for files: written whole or not at all, told apart by their sha256; and the first line of an error."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` when the block ends without an error.

    An error removes what was written and leaves ``path`` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)


def sha256(path: Path) -> str:
    """The sha256 of the file ``path``, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    """The first line of what a library says about ``error``, for a sentence of ours; the traceback has the rest."""
    return (str(error).strip().split("\n", 1)[0] or type(error).__name__).rstrip(".")[:200]
