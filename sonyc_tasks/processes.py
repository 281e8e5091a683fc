"""Processes that this one starts: how many at a time, and none that outlives it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def die_with_parent() -> None:
    """Have Linux kill this child process when its parent dies, even by SIGKILL; a no-op elsewhere.

    An orphan would keep writing into the folder of a restarted parent, or wait for work for ever.
    """
    if _C_LIBRARY is not None:
        _C_LIBRARY.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():  # it died while this one was importing
            os.kill(os.getpid(), signal.SIGKILL)
