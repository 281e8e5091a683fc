"""Memory that one step of training frees stays with the process, for the next step.

glibc gives arrays above 32 MB back to the system at once, and the system clears each page of the next ones: a tenth of
a step's time and more.
"""

from __future__ import annotations

import ctypes
import sys

#: Parameters of glibc's ``mallopt``.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def tune_malloc() -> None:
    """Have glibc keep up to 2 GiB of what is freed at the end of its heap, and take large arrays from there too.

    For a process that trains; it holds about a fifth more memory. Nothing happens with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
