"""Prefetching: the next item is made while the last one is still in use, so that no step waits for the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hear_multiview.threads import with_modes

T = TypeVar("T")


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """``items``, each made in a thread while the one before it is in use.

    An error in making one is raised where the item would have come. Items are made in the grad mode, inference mode and
    autocast of the caller.

    >>> list(prefetch(range(3)))
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
