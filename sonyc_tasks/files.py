"""Files written whole or not at all, JSON objects read with an error that helps, and digests."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; it replaces ``path`` when the block ends without an error.

    The temporary file has the suffix of ``path``, because many writers choose the format by it. If the block raises,
    the temporary file is removed and ``path`` is left as it was. Missing folders are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write ``content``, text as UTF-8, to ``path``: whole or not at all."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON to ``path``: whole or not at all."""
    write_atomic(path, json.dumps(content, indent=1) + "\n")


def read_json_object(path: Path, remedy: str = "write it again") -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Args:
        path: The file.
        remedy: What to do about a broken file; the end of the error message.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError, RecursionError) as error:  # the last of brackets inside brackets, thousands deep
        raise ValueError(f"{path} cannot be read ({first_line(error)}); {remedy}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object; {remedy}")
    return content


def is_plain_name(name: object) -> bool:
    """Whether ``name`` is that of a file or folder, and not a path to another folder.

    >>> [is_plain_name(name) for name in ("a.wav", "../a.wav", "/a", "..", "", 1)]
    [True, False, False, False, False, False]
    """
    return isinstance(name, str) and name not in ("", ".", "..") and not set("/\\\0") & set(name)


def file_digest(path: str | Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or the exception's type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
