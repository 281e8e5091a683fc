"""Parallel training runs: one single-threaded process per core, the fastest division of work for small models.

Runs of one seed whose recipes see the same batches are trained together in one process, which reads each batch once.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sonyc_tasks.processes import die_with_parent
from training.data.store import LatentStore
from training.distributed import is_main
from training.engine.pretrain import pretrain_together, run_folder, same_batches
from training.recipes import Recipe

#: Seconds between two looks at the progress of the runs.
INTERVAL = 1.0
#: Groups of runs for each of several workers, at least: with fewer, one is still busy when the others have ended.
PER_WORKER = 4


def run_jobs(
    jobs: Sequence[tuple[Recipe, int]],
    store: Path | str,
    runs: Path,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    workers: int = 1,
    on_progress: Callable[[float | None], None] = lambda _: None,
) -> None:
    """Pretrain with each (recipe, seed) of ``jobs``; finished runs are not repeated.

    Args:
        jobs: recipes with their seeds.
        store: folder or address of the latent store.
        runs: folder of the runs.
        device: where to train.
        precision: see `training.engine.precision`.
        workers: number of processes; on a GPU, 1 is usually best.
        on_progress: called about once a second with the estimated seconds left, or None while there is no estimate.

    Raises:
        ValueError: a run failed. The other runs are stopped, and a later call resumes them.
    """
    epochs = sum(recipe.epochs for recipe, _ in jobs)

    def done() -> int:
        return sum(epochs_done(run_folder(runs, recipe, seed)) for recipe, seed in jobs)

    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)  # some are read before our code runs in a process
    try:
        with (
            tqdm(
                desc=f"pretraining {len(jobs)} runs",
                total=epochs,
                initial=done(),
                unit="epoch",
                smoothing=0,
                disable=not is_main(),
            ) as bar,
            ProcessPoolExecutor(workers, context, initializer=die_with_parent) as pool,
        ):
            left = {
                pool.submit(_train, [recipe.as_dict() for recipe in recipes], seed, store, runs, device, precision)
                for recipes, seed in together(jobs, workers)
            }
            try:
                while left:
                    finished, left = wait(left, INTERVAL, FIRST_COMPLETED)
                    for run in finished:
                        run.result()
                    bar.update(done() - bar.n)
                    rate = bar.format_dict["rate"]
                    on_progress((epochs - bar.n) / rate if rate else None)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def together(jobs: Sequence[tuple[Recipe, int]], workers: int) -> list[tuple[list[Recipe], int]]:
    """Divide ``jobs`` into groups that are trained together, at least `PER_WORKER` for each of several workers.

    Returns:
        Recipes that see the same batches, and their seed; larger groups first, so that no worker is left with one.
    """
    groups: dict[tuple[int, tuple[object, ...]], list[Recipe]] = {}
    for recipe, seed in jobs:
        groups.setdefault((seed, same_batches(recipe)), []).append(recipe)
    most = len(jobs) if workers == 1 else max(1, len(jobs) // (PER_WORKER * workers))
    parts = [
        (group[first : first + most], seed)
        for (seed, _), group in groups.items()
        for first in range(0, len(group), most)
    ]
    return sorted(parts, key=lambda part: -len(part[0]))


def epochs_done(run: Path) -> int:
    """Return the number of finished epochs of the run in a folder, 0 if there is none."""
    history = run / "history.jsonl"
    return history.read_bytes().count(b"\n") if history.exists() else 0


#: Environment of the workers: no progress bars, and one thread each, so that results do not depend on their number.
_ENVIRONMENT: Mapping[str, str] = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def _train(
    recipes: Sequence[Mapping[str, Any]], seed: int, store: Path | str, runs: Path, device: str, precision: str
) -> None:
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the caller has already shown warnings about the data
        chosen = [Recipe(**recipe) for recipe in recipes]
        pretrain_together(chosen, _store(store), runs, seed=seed, device=device, precision=precision)


@lru_cache(maxsize=1)
def _store(path: Path | str) -> LatentStore:
    """Open the store once per process."""
    return LatentStore(path)
