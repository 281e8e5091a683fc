"""What the user reads about an error: one sentence, with the file's name."""

from __future__ import annotations

import errno
import os
import select
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: What the system's errors about files mean, and the way out.
_MEANING = {
    errno.ENOSPC: "the disk of {} is full; make room",
    errno.EDQUOT: "your quota on the disk of {} is used up; make room",
    errno.EFBIG: "{} would be larger than files may be here; raise that limit, or give another place",
    errno.EROFS: "{} is on a disk that can only be read; give another place",
    errno.EIO: "the disk of {} fails; give another place",
    errno.EACCES: "you may not read or write {}; change its permissions, or give another place",
    errno.EPERM: "you may not change {}; change its permissions, or give another place",
    errno.ENOENT: "{} does not exist; restore it",
}


def first_line(error: BaseException) -> str:
    """The first line of what a library says about ``error``, or the error's type if that is nothing; for a sentence of
    ours, so without its full stop, and not longer than 200 characters."""
    return (str(error).strip().split("\n", 1)[0] or type(error).__name__).rstrip(".")[:200]


def explained(error: Exception) -> str:
    """One sentence about ``error`` for the user: our own as it is, one of the system with its file and the way out."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    place = error.filename if error.filename is not None else "the output"
    if (meaning := _MEANING.get(error.errno)) is None:
        return f"{place}: {error.strerror}; see what is wrong there, and run the same command again"
    return f"{meaning.format(place)}, and run the same command again"


def exit_status(run: Callable[[], int | None]) -> int:
    """Run a command and return its exit status: its own, 1 with one sentence on stderr, or 130 after Ctrl-C.

    Warnings are one line each. A reader of the output that has gone, as in ``| head``, ends the command without a word.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)  # type: ignore[assignment]
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        try:
            status = run()
            sys.stdout.flush()
            return status or 0
        except (ValueError, OSError, ModuleNotFoundError) as error:
            if isinstance(error, BrokenPipeError) and _reader_has_gone():
                return 1
            extras = "; pip install '.[eval,train]' has it" if isinstance(error, ModuleNotFoundError) else ""
            print(f"error: {explained(error)}{extras}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped; run the same command again to resume", file=sys.stderr)
            return 130


def _reader_has_gone() -> bool:
    """Whether it is the output that nobody reads any more, and not a pipe to a worker or a connection."""
    with suppress(OSError, AttributeError):  # an output that is no file, and Windows, which cannot tell
        output, pipe = sys.stdout.fileno(), select.poll()
        pipe.register(output, 0)
        if any(event & select.POLLERR for _, event in pipe.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # or Python would complain when it ends
            return True
    return False


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Give an error of the system about a file, if it has no name or that of a hidden file of ours, that of ``path``.

    An error of writing to an open file has no name, and those of a network have none either; they are left alone. zarr
    2.18 hides an error of making a folder in a KeyError.
    """
    try:
        yield
    except (OSError, KeyError) as raised:
        error = raised if isinstance(raised, OSError) else raised.__cause__
        if not isinstance(error, OSError):
            raise
        name = None if error.filename is None else os.fsdecode(error.filename)
        unnamed = error.errno in _MEANING if name is None else Path(name).name.startswith(".")
        if raised is error and not unnamed:
            raise
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path) if unnamed else name) from raised
