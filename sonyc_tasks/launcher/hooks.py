"""How the launcher stands around heareval's functions, and how it speaks."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class DoubtfulError(SystemExit):
    """Everything was done, but what came of it means nothing: the process goes on, and ends with exit status 1."""


@contextmanager
def replaced(module: Any, **functions: Any) -> Iterator[None]:
    """``functions`` stand in the place of those of the same names in ``module`` for a while."""
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
    """ValueError and FileNotFoundError end the process with their message as the last line, and exit status 1.

    Whatever another exception led to comes before it, with its traceback: it is somebody else's code that failed.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, (ValueError, FileNotFoundError)):
            traceback.print_exception(cause)
        sys.stdout.flush()  # or what is still waiting there would come after the message
        raise SystemExit(f"error: {error}") from error


def say(line: str) -> None:
    """Print a line to stdout at once."""
    print(line, flush=True)


def warn(line: str) -> None:
    """Print a line that asks for attention to stderr."""
    print(f"warning: {line}", file=sys.stderr, flush=True)
