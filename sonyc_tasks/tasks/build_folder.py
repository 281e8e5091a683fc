"""A folder to build in beside the target, which the next build removes where its own was killed.

A workshop belongs to whoever holds the lock on the file ``lock`` in it. The system gives up a process's locks when it
ends, however it ends, and a lock holds across containers, where process numbers would not. Where a file system has no
locks, nothing is removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: leftovers stay there
    fcntl = None  # type: ignore[assignment]

_LOCK = "lock"


@contextmanager
def workshop(target: Path, place: Path | None = None) -> Iterator[Path]:
    """An empty folder in ``place`` (default: beside ``target``) to build ``target`` in; it is gone afterwards.

    First removes what killed processes have left for the same target. What is finished is moved away from here by
    ``rename``, so that it appears whole or not at all.
    """
    place = target.absolute().parent if place is None else place
    place.mkdir(parents=True, exist_ok=True)
    sweep(target, place)
    folder, lock = _locked_folder(target, place)
    try:
        (folder / "work").mkdir()
        yield folder / "work"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep(target: Path, place: Path | None = None) -> None:
    """Remove the workshops for ``target`` in ``place`` (default: beside it) whose process is dead."""
    place = target.absolute().parent if place is None else place
    for folder in place.iterdir() if place.is_dir() else ():
        if folder.name.startswith(_prefix(target)):
            try:
                lock = _lock(folder)
            except OSError:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked_folder(target: Path, place: Path) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=place))
        try:
            return folder, _lock(folder)
        except (BlockingIOError, FileNotFoundError):  # another process swept before we had the lock
            continue
        except OSError:
            return folder, None


def _lock(folder: Path) -> int:
    """Lock a workshop; the lock lasts until the file returned is closed.

    Raises BlockingIOError where another process holds it, FileNotFoundError where the folder is gone, and OSError
    where there are no locks.
    """
    if fcntl is None:
        raise OSError("no file locks on this system")
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file), os.stat(folder / _LOCK)):
            raise FileNotFoundError(folder)
    except OSError:
        os.close(file)
        raise
    return file


def _prefix(target: Path) -> str:
    return f".{target.absolute().name}-in-progress-"
