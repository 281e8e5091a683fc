"""How the launcher wraps heareval's functions, and how it prints."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sonyc_tasks.errors import explained


class DoubtfulError(SystemExit):
    """All work was done, but a result is meaningless: the process continues, then ends with exit status 1."""


@contextmanager
def replaced(module: Any, **functions: Any) -> Iterator[None]:
    """Replace the functions of these names in ``module`` inside the block."""
    before = {name: getattr(module, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(module, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(module, name, function)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the process on ValueError and OSError, with the message as the last line and exit status 1.

    If another exception caused the error, somebody else's code failed, and its traceback is printed first.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, (ValueError, OSError)):
            traceback.print_exception(cause)
        sys.stdout.flush()  # or buffered output would follow the message
        raise SystemExit(f"error: {explained(error)}") from error


def say(line: str) -> None:
    """Print a line to stdout, unbuffered."""
    print(line, flush=True)


def warn(line: str) -> None:
    """Print a warning to stderr."""
    print(f"warning: {line}", file=sys.stderr, flush=True)
