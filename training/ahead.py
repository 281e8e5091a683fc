"""The next item while the last one is still worked on: what reads from a disk should not make the processor wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """``items``, each made in a thread of its own while the one before it is used. What making one raises is raised
    where it would have come.

    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    source = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item  # type: ignore[misc]
