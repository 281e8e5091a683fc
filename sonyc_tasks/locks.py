"""Locks on files, which the system releases however their process ends.

A lock belongs to an open file (flock), so it also works between containers, where process numbers do not, and leaves
nothing behind that a killed process would have had to remove. Where a file system has no locks, or may only be read,
nothing is locked.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sonyc_tasks.errors import errors_named

try:
    import fcntl
except ImportError:  # on Windows there are no such locks
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

#: The name of the lock in a folder that one process at a time may write to.
LOCK = ".lock"
#: The locks that this thread holds, by path: a command may call another one that needs the same.
_own = threading.local()


@contextmanager
def held(lock: Path, what: Path) -> Iterator[None]:
    """Hold the lock file ``lock`` while ``what`` is written; wait for it, with a warning that says who has it.

    The file exists only as long as it is held. A thread that holds it already goes on. An error of the system that has
    no file's name, such as a full disk in the middle of a file, gets that of ``what``.
    """
    new = not lock.parent.is_dir()
    names: set[str] = _own.__dict__.setdefault("names", set())
    name = os.path.realpath(lock)
    file = None if name in names else _waited_for(lock, what)
    if file is None:
        with errors_named(what):
            yield
        return
    names.add(name)
    try:
        with errors_named(what):
            yield
    finally:
        names.discard(name)
        lock.unlink(missing_ok=True)
        os.close(file)
        if new:  # and still empty, where what was to be written failed
            with suppress(OSError):
                lock.parent.rmdir()


def try_lock(file: int) -> bool:
    """Lock an open ``file`` until it is closed; False if another one has it.

    Raises:
        OSError: There are no locks.
    """
    if fcntl is None:
        raise OSError("no file locks on this system")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(file: int, path: Path) -> bool:
    """Whether ``path`` is still the name of the open ``file``."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _waited_for(lock: Path, what: Path) -> int | None:
    """The open, locked file, which says who has it; None where nothing can be locked."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the holder has just removed the folder, which it had made
            continue
        except OSError:
            return None
        try:
            if not try_lock(file):
                holder = os.pread(file, 1000, 0).decode(errors="replace") or "another process"
                log.warning("%s is being written by %s; waiting for it to end", what, holder)
                fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, lock):  # else the holder has removed it at its end
                os.ftruncate(file, 0)
                os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
                return file
        except OSError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        os.close(file)
