"""The next item while the last one is still worked on: what reads from a disk should not make the processor wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hear_multiview.threads import with_modes

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """``items``, each made in a thread of its own while the one before it is used. What making one raises is raised
    where it would have come. They are made in the grad mode, inference mode and autocast of who asks for the first.

    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    source = iter(items)
    end = object()
    make = with_modes(next)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(make, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(make, source, end)
            yield item  # type: ignore[misc]
