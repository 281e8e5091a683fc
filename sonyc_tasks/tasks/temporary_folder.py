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
from sonyc_tasks.files import BUILD_LOCK, IN_PROGRESS, WORK, sweep


@contextmanager
def build_dir(target: Path, place: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder in which to build ``target``; it is removed at the end.

    What killed processes left in the same place is removed first. Move the finished result out with ``rename``, so
    that it appears whole or not at all.

    Args:
        target: What is built.
        place: Where to create the folder; by default next to ``target``.
    """
    place = target.absolute().parent if place is None else place
    place.mkdir(parents=True, exist_ok=True)
    sweep(place)
    folder, lock = _locked_folder(target, place)
    try:
        (folder / WORK).mkdir()
        yield folder / WORK
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder(target: Path, place: Path) -> tuple[Path, int | None]:
    """A new folder, and the open file that locks it; None for that where there are no locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.absolute().name}{IN_PROGRESS}", dir=place))
        try:
            file = os.open(folder / BUILD_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # another process removed it before we had the lock
            continue
        try:
            if locks.try_lock(file) and locks.is_at(file, folder / BUILD_LOCK):
                return folder, file
        except OSError:
            os.close(file)
            return folder, None
        os.close(file)
