"""Threads that each do a whole piece of work, instead of sharing every single operation."""

from __future__ import annotations

import os
import threading
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
    left over when each thread has had the same number are computed one by one, on all threads. Calls from several
    threads share the same workers, and each gets what it would get alone.
    """
    threads = torch.get_num_threads()
    side_by_side = len(items) // threads * threads if threads > 1 else 0
    results: list[Tensor] = []
    if side_by_side:
        task = with_modes(lambda item: work(*item))
        running = [workers(threads).submit(task, item) for item in items[:side_by_side]]
        try:
            results += [each.result() for each in running]
        finally:
            for each in running:
                each.cancel()
    return results + [work(*item) for item in items[side_by_side:]]


def workers(count: int) -> ThreadPoolExecutor:
    """``count`` threads on which torch computes with one thread; started once for the whole process.

    `torch.set_num_threads` is not a thread's own affair: it also sets what every thread that has not computed yet will
    use. A caller's thread that begins while others' work is under way would get one thread instead of all, divide its
    audio in other chunks, and get other last digits. So the number is changed here only, while the workers start.
    """
    with _lock:
        if count not in _pools:
            before, started = torch.get_num_threads(), threading.Barrier(count + 1)

            def start() -> None:
                torch.get_num_threads()  # or the first operation would take the common number after all
                torch.set_num_threads(1)
                started.wait()

            pool = ThreadPoolExecutor(count, thread_name_prefix="hear_multiview")
            for _ in range(count):
                pool.submit(start)
            started.wait()
            torch.set_num_threads(before)
            _pools[count] = pool
        return _pools[count]


def _forget_workers() -> None:
    """In a forked process, which has none of the threads."""
    global _lock
    _pools.clear()
    _lock = threading.Lock()


_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


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
