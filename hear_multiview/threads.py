"""Threads that each do a whole piece of work, instead of all of them a part of every operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor


def each(work: Callable[..., Tensor], items: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """``work(*item)`` of each of the ``items``, in their order, on as many threads as torch may use here.

    No thread waits for another after every operation, and what one has just computed is still in its own cache. What
    is left after the same number of items on each thread is computed one by one, on all threads.
    """
    threads = torch.get_num_threads()
    side_by_side = len(items) // threads * threads if threads > 1 else 0
    results: list[Tensor] = []
    if side_by_side:
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                results += pool.map(lambda item: work(*item), items[:side_by_side])
        finally:
            torch.set_num_threads(threads)  # it is a thread's own number, but also the one that new threads start with
    return results + [work(*item) for item in items[side_by_side:]]
