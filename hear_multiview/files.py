"""Small tools for files: written whole or not at all, and told apart by their sha256; what is said about an error."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sonyc_tasks.errors import explained, first_line
from sonyc_tasks.files import replacing, sweep, sync
from sonyc_tasks.locks import held

__all__ = ["explained", "first_line", "held", "replacing", "sha256", "sweep", "sync"]


def sha256(path: Path) -> str:
    """The sha256 of the file ``path``, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
