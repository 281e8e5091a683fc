"""A temporary folder next to the target to build in; if its process is killed, the next build removes it.

A build folder belongs to the process that holds the lock on the file ``lock`` in it. The system releases the locks of a
process however it ends, and locks work across containers, where process numbers do not. On file systems without locks
nothing is removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sonyc_tasks import locks
from sonyc_tasks.files import BUILD_LOCK, IN_PROGRESS


@contextmanager
def build_dir(target: Path, place: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder in which to build ``target``; it is removed at the end.

    What killed processes left for the same target is removed first. Move the finished result out with ``rename``, so
    that it appears whole or not at all.

    Args:
        target: What is built.
        place: Where to create the folder; by default next to ``target``.
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
    """Remove the build folders for ``target`` in ``place`` (by default next to it) whose process is dead."""
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
        except (BlockingIOError, FileNotFoundError):  # another process removed it before we had the lock
            continue
        except OSError:
            return folder, None


def _lock(folder: Path) -> int:
    """Lock a build folder until the returned file descriptor is closed.

    Raises:
        BlockingIOError: Another process holds the lock.
        FileNotFoundError: The folder is gone.
        OSError: There are no locks.
    """
    file = os.open(folder / BUILD_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not locks.try_lock(file):
            raise BlockingIOError(folder)
        if not locks.is_at(file, folder / BUILD_LOCK):
            raise FileNotFoundError(folder)
    except OSError:
        os.close(file)
        raise
    return file


def _prefix(target: Path) -> str:
    return f".{target.absolute().name}{IN_PROGRESS}"
