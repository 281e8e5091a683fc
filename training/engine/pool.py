"""Many training runs side by side: one process and one thread a core, which on small models is the faster division."""

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

from training.data.store import LatentStore
from training.distributed import is_main
from training.engine.pretrain import pretrain, run_folder
from training.probes.heareval_jobs import die_with_parent
from training.recipes import Recipe

#: Seconds between two checks of how far the runs are.
INTERVAL = 1.0


def run_jobs(
    jobs: Sequence[tuple[Recipe, int]],
    store: Path | str,
    runs: Path,
    *,
    device: str = "cpu",
    workers: int = 1,
    on_progress: Callable[[float | None], None] = lambda _: None,
) -> None:
    """`engine.pretrain.pretrain` for each (recipe, seed) of ``jobs``; what is finished already is not repeated.

    Args:
        store: folder or address of the latent store. runs: folder of the runs.
        workers: processes. On a GPU one is usually best.
        on_progress: called now and then with the seconds left, as far as known.

    Raises:
        ValueError: of the first run that fails; the others stop where they can go on another time.
    """
    epochs = sum(recipe.epochs for recipe, _ in jobs)

    def done() -> int:
        return sum(epochs_done(run_folder(runs, recipe, seed)) for recipe, seed in jobs)

    what = f"pretraining {len(jobs)} runs"
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)  # a spawned process reads some of it before any of our code runs
    try:
        with (
            tqdm(
                total=epochs,
                initial=done(),
                desc=what,
                unit="epoch",
                smoothing=0,
                disable=not is_main(),
            ) as bar,
            ProcessPoolExecutor(workers, context, initializer=die_with_parent) as pool,
        ):
            left = {pool.submit(_train, recipe.as_dict(), seed, store, runs, device) for recipe, seed in jobs}
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


def epochs_done(run: Path) -> int:
    """How many epochs the run in the folder ``run`` has behind it."""
    history = run / "history.jsonl"
    return history.read_bytes().count(b"\n") if history.exists() else 0


#: Of the workers: no progress bars of their own, one thread each (also so that results do not depend on how many run).
_ENVIRONMENT: Mapping[str, str] = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def _train(recipe: Mapping[str, Any], seed: int, store: Path | str, runs: Path, device: str) -> None:
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # every run would repeat what the caller has said of the data
        pretrain(Recipe(**recipe), _store(store), runs, seed=seed, device=device)


@lru_cache(maxsize=1)
def _store(path: Path | str) -> LatentStore:
    """Read once a process."""
    return LatentStore(path)
