"""Small tools for files: written whole or not at all, told apart by their sha256; and the first line of an error."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sonyc_tasks.files import explained, replacing, sweep, sync
from sonyc_tasks.locks import held

__all__ = ["explained", "first_line", "held", "replacing", "sha256", "sweep", "sync"]


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
