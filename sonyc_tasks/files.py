"""Files and folders written whole or not at all, JSON objects read with an error that helps, and digests.

What is moved into place has reached the disk first, and so has the move. What a killed process leaves has a name that
begins with `TEMPORARY`; the next process that writes into the folder removes it.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sonyc_tasks.errors import errors_named, first_line
from sonyc_tasks.locks import LOCK, held, is_at, try_lock

#: How names of files in the making begin.
TEMPORARY = ".writing-"
#: What names of folders in the making have in them, and all that is in such a folder (`tasks.temporary_folder`).
IN_PROGRESS, BUILD_LOCK, WORK = "-in-progress-", "lock", "work"
#: Their whole names: somebody's own `.writing-notes.txt` is none of ours.
_FILE = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{12}}(\..*)?")
_FOLDER = re.compile(rf"\..+{IN_PROGRESS}[a-z0-9_]{{8}}")
#: Folders in which this process has looked for what killed processes left.
_swept: set[str] = set()


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; it replaces ``path`` when the block ends without an error.

    The temporary file has the suffix of ``path``, because many writers choose the format by it. If the block raises,
    the temporary file is removed and ``path`` is left as it was. Missing folders are created. The writer has to write
    into the file, not to replace it.

    Args:
        path: The file.
        durable: Wait until it is on the disk. It is not worth it for what has a checksum and can be computed again.

    Raises:
        OSError: It cannot be written; the error has the name of ``path``.
    """
    with errors_named(path):
        make_folder(path.parent)
        if (folder := os.path.abspath(path.parent)) not in _swept:
            sweep(path.parent)
            _swept.add(folder)
        part, file = _locked_file(path)
    try:
        with errors_named(path):
            yield part
            if durable:
                sync(part)
            os.replace(part, path)
            if durable:
                sync(path.parent)
    finally:
        part.unlink(missing_ok=True)
        os.close(file)


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """`locks.held` of a ``folder`` to be written to, by a lock in it; what killed processes left there is removed."""
    with held(folder / LOCK, folder):
        sweep(folder)
        yield


def sweep(folder: Path) -> None:
    """Remove files and folders in the making from ``folder`` whose process is dead."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries]:
            if _FILE.fullmatch(name):
                _remove_dead(folder / name, folder / name)
            elif _FOLDER.fullmatch(name) and _is_build(folder / name):
                _remove_dead(folder / name, folder / name / BUILD_LOCK)


def _is_build(folder: Path) -> bool:
    """Whether ``folder`` has nothing in it but what a build folder has."""
    try:
        return {*os.listdir(folder)} <= {BUILD_LOCK, WORK}
    except OSError:  # somebody else has removed it
        return False


def _remove_dead(path: Path, lock: Path) -> None:
    """Remove a file or folder unless a process that lives has locked it by the file ``lock``."""
    with suppress(OSError):  # somebody else was faster, or there are no locks
        # A folder may have lost its lock already, when it was being removed.
        file = os.open(lock, os.O_RDWR if lock == path else os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if try_lock(file) and is_at(file, lock):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(file)


def is_empty(folder: Path) -> bool:
    """Whether ``folder`` does not exist, or holds nothing but locks and what killed processes left."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(path.name == LOCK or _FILE.fullmatch(path.name) for path in folder.iterdir())


def replace_folder(new: Path, path: Path) -> None:
    """Move the folder ``new``, which may be a file, to ``path``; what was there is then at ``new``.

    At any time, ``path`` is the one or the other, where the system can exchange two names (Linux, macOS). The content
    has reached the disk first, and so has the move.
    """
    sync_tree(new)
    if not path.exists():
        os.rename(new, path)
    elif not _exchanged(new, path):
        old = new.with_name(f"{new.name}.replaced")
        os.rename(path, old)
        os.rename(new, path)
        os.rename(old, new)
    sync(path.parent)


def make_folder(folder: Path) -> None:
    """Create ``folder`` and those above it, on the disk too, unless they are there."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # of a file system that cannot do it
            raise
    finally:
        os.close(file)


def sync_tree(path: Path) -> None:
    """`sync` everything in the folder ``path``, or the file.

    On Linux this asks for the whole file system at once: file by file, thousands of clips would take ten times as long.
    """
    if (syncfs := getattr(ctypes.CDLL(None), "syncfs", None)) is not None:
        file = os.open(path, os.O_RDONLY)
        try:
            if syncfs(file) == 0:
                return
        finally:
            os.close(file)
    for folder, _, files in os.walk(path):
        for name in files:
            sync(Path(folder, name))
        sync(Path(folder))
    if path.is_file():
        sync(path)


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


def _locked_file(path: Path) -> tuple[Path, int]:
    """A new temporary file for ``path``, locked as long as it is open, so that nobody else removes it."""
    while True:
        part = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:12]}{path.suffix}")
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if try_lock(file) and is_at(file, part):
                return part, file
        except OSError:  # there are no locks, and so nobody who removes it
            return part, file
        os.close(file)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange what two names stand for, at once; False where the system or the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return library.renameat2(-100, names[0], -100, names[1], 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return library.renamex_np(*names, 2) == 0  # RENAME_SWAP
    return False
