"""Threads that each do a whole piece of work, instead of all of them a part of every operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor


def each(work: Callable[..., Tensor], items: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """``work(*item)`` of each of the ``items``, in their order, on as many threads as torch may use here.

    No thread waits for another after every operation, and what one has just computed is still in its own cache. With
    fewer items than threads they are computed one by one, each on all threads.
    """
    threads = torch.get_num_threads()
    if len(items) < threads or threads == 1:
        return [work(*item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(lambda item: work(*item), items))
    finally:
        torch.set_num_threads(threads)  # the number is a thread's own, but for the one that a new thread starts with
