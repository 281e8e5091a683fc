"""Map a function over many files on threads, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from sonyc_tasks.processes import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_threads(
    work: Callable[[Item], Result], items: Sequence[Item], title: str, workers: int | None = None
) -> Iterator[Result]:
    """Yield ``work(item)`` in order; useful as reading, decoding, resampling and hashing release the GIL.

    Args:
        work: Called on ``workers`` threads. If it raises, the items that have not started are dropped.
        items: Its arguments.
        title: Title of the progress bar, which is only shown on a terminal.
        workers: Number of threads; by default one per core.
    """
    with ThreadPoolExecutor(workers or cores()) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in tqdm(futures, desc=title, unit="clip", disable=None, leave=False):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
