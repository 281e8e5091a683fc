"""What a subcommand of ``python -m hear_multiview`` is.

Each is a module with a `Command` called ``COMMAND`` and one line in ``hear_multiview/__main__.py``. Such a module
imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Attributes:
        summary: a line in the list of commands.
        description: a paragraph above its own options.
        add_arguments: adds its options to a parser.
        run: does it, from the parsed options, and returns the exit status.
    """

    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


@contextmanager
def needs_extra() -> Iterator[None]:
    """Around imports of what only the extra ``recordings`` brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "another library").partition(".")[0]
        raise ValueError(f"this needs {library}; run pip install 'hear_multiview[recordings]'") from None
