"""Threads that each do a whole piece of work, instead of sharing every single operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def map_on_threads(work: Callable[..., Tensor], items: Sequence[tuple[Any, ...]]) -> list[Tensor]:
    """``work(*item)`` for each of the ``items``, in their order, on as many threads as torch may use here.

    No thread waits for others after every operation, and its last results are still in its own cache. Items that are
    left over when each thread has had the same number are computed one by one, on all threads.
    """
    threads = torch.get_num_threads()
    side_by_side = len(items) // threads * threads if threads > 1 else 0
    results: list[Tensor] = []
    if side_by_side:
        task = with_modes(lambda item: work(*item))
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                results += pool.map(task, items[:side_by_side])
        finally:
            torch.set_num_threads(threads)  # a thread's own number, but also the one that new threads start with
    return results + [work(*item) for item in items[side_by_side:]]


def with_modes(work: Callable[..., T]) -> Callable[..., T]:
    """``work``, for another thread to call in the grad mode, inference mode and autocast of this one.

    torch keeps these per thread: a new thread has gradients on and the others off.

    >>> with torch.no_grad(), ThreadPoolExecutor(1) as pool:
    ...     [pool.submit(ask).result() for ask in (torch.is_grad_enabled, with_modes(torch.is_grad_enabled))]
    [True, False]
    """
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    cached = torch.is_autocast_cache_enabled()
    casts = [
        (device, torch.get_autocast_dtype(device)) for device in ("cpu", "cuda") if torch.is_autocast_enabled(device)
    ]

    def run(*arguments: Any) -> T:
        with ExitStack() as modes:
            modes.enter_context(torch.inference_mode(inference))
            modes.enter_context(torch.set_grad_enabled(grad))  # after inference mode, which sets it too
            for device, dtype in casts:
                modes.enter_context(torch.autocast(device, dtype, cache_enabled=cached))
            return work(*arguments)

    return run
