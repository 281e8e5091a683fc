"""The training loop: every model of this project is trained by `fit`, or side by side with others by `fit_together`.

A run is a folder that an interrupted run resumes from, to the very same end: every random draw comes from the seed and
the number of the epoch or step, and none from what happened before. Several processes that were launched together are
one run; each computes its shard of every batch, and the main process writes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from tqdm import tqdm

from sonyc_tasks.errors import first_line
from training.data.prefetch import prefetch
from training.distributed import BatchShard, all_reduce_mean, barrier, is_main
from training.engine.run_folder import RunFolder


class Batch(Protocol):
    """What the loop uses of a batch: how many examples it holds, and which part of all processes' batch it is."""

    @property
    def shard(self) -> BatchShard: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Job:
    """What `fit` trains.

    Attributes:
        name: for messages and the progress bar.
        model: on its device.
        optimizer: of the model's parameters.
        weights: of each term in the total loss. A term without a weight is an error.
        loss: terms of the loss on a batch, by name: scalars. Phases of a training may leave some out.
        train: the batches of an epoch, from its number and the progress bar, which they advance. The call seeds torch.
        valid: what an epoch is judged by, from the progress bar: batches, whose mean terms are taken, or names and
            numbers, ``total`` among them where ``keep_best`` is set.
        outputs: files that ``save`` writes, which a resumed run must still have.
        save: called with an epoch's record; where ``keep_best`` is set, only if it is the best so far.
        epochs, steps: how many epochs, and how many steps of the progress bar one of them has.
        max_grad_norm: longer gradients are scaled down to it.
        before_step: called with the number of the epoch and of the step in it, to set learning rates.
        keep_best: whether an epoch is saved only if its ``valid["total"]`` is the least so far.
    """

    name: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    weights: Mapping[str, float]
    loss: Callable[[Any], Mapping[str, Tensor]]
    train: Callable[[int, Any], Iterable[Batch]]
    valid: Callable[[Any], Mapping[str, float] | Iterable[Batch]]
    outputs: Sequence[Path]
    save: Callable[[dict[str, Any]], None]
    epochs: int
    steps: int
    max_grad_norm: float
    before_step: Callable[[int, int], None] = field(default=lambda epoch, step: None)
    keep_best: bool = True


class NotFiniteError(FloatingPointError):
    """A loss is not finite: that of ``job``, with these values of its terms."""

    def __init__(self, job: Job, terms: Mapping[str, float]) -> None:
        super().__init__(", ".join(f"{name} {value:.4g}" for name, value in terms.items()))
        self.job = job


def fit(job: Job, folder: RunFolder) -> list[dict[str, Any]]:
    """Train ``job`` in ``folder`` from where it stands there to its end; return a record of every epoch.

    A record is {"epoch": from 0, "train": means of the terms, "valid": what ``job.valid`` gives}.

    Raises:
        ValueError: the folder's state is damaged or has lost its history, or a loss is not finite.
    """
    (history,) = fit_together([job], [folder])
    return history


def fit_together(jobs: Sequence[Job], folders: Sequence[RunFolder]) -> list[list[dict[str, Any]]]:
    """Train ``jobs`` that see the same batches side by side, each in its folder; every batch is read once.

    Each job ends as `fit` would have it alone, on a CPU to the bit, since it draws from a random state of its own. Jobs
    that an interruption left behind the others catch up first.

    Args:
        jobs: with as many epochs; the batches are those of the first one.
        folders: of each job.

    Returns:
        The records of each job's epochs, as from `fit`.

    Raises:
        ValueError: as from `fit`.
    """
    first = jobs[0]
    device = next(first.model.parameters()).device
    runs = [_Progress(job, folder, *_resume(job, folder, device)) for job, folder in zip(jobs, folders, strict=True)]
    start = min(run.start for run in runs)
    gpus = [device] if device.type == "cuda" else []  # whose random state is restored, too
    name = first.name if len(jobs) == 1 else f"{first.name} and {len(jobs) - 1} more"
    total, initial = first.epochs * first.steps, start * first.steps
    with tqdm(total=total, initial=initial, desc=name, unit="step", disable=not is_main()) as bar:
        for epoch in range(start, first.epochs):
            here = [run for run in runs if run.start <= epoch]
            try:
                with torch.random.fork_rng(gpus):
                    results = _train_and_judge([run.job for run in here], epoch, bar)
            except NotFiniteError as error:
                (culprit,) = (run for run in here if run.job is error.job)
                raise ValueError(
                    f"the loss of {error.job.name} is not finite in epoch {epoch + 1} ({error}); lower its learning "
                    f"rate; what was saved before stays in {culprit.folder.path}"
                ) from None
            for run, (train, valid) in zip(here, results, strict=True):
                run.add({"epoch": epoch, "train": train, "valid": valid})
            bar.set_postfix({"train": f"{train['total']:.4f}", **{k: f"{v:.4f}" for k, v in valid.items()}})
    if is_main():
        for folder in folders:
            folder.state_path.unlink(missing_ok=True)
    barrier()
    return [run.history for run in runs]


@dataclass
class _Progress:
    """How far a job is: the epoch that it starts from, its least validation loss, and the records of its epochs."""

    job: Job
    folder: RunFolder
    start: int
    best: float
    history: list[dict[str, Any]]

    def add(self, record: dict[str, Any]) -> None:
        """Note an epoch; the main process saves it."""
        self.history.append(record)
        better = not self.job.keep_best or record["valid"]["total"] < self.best
        self.best = min(self.best, record["valid"].get("total", math.inf))
        if is_main():
            _save(self.job, self.folder, self.history, better, self.best)


def _train_and_judge(jobs: Sequence[Job], epoch: int, bar: Any) -> list[tuple[dict[str, float], dict[str, float]]]:
    """What an epoch's training and validation give for each of ``jobs``."""
    train = _epoch_of(jobs, jobs[0].train(epoch, bar), epoch)
    given = jobs[0].valid(bar)
    valid = [dict(given)] if isinstance(given, Mapping) else _epoch_of(jobs, given, None)
    return list(zip(train, valid, strict=True))


def _save(job: Job, folder: RunFolder, history: Sequence[dict[str, Any]], better: bool, best: float) -> None:
    """Write what belongs to the last epoch of ``history``; the state, which counts, comes last."""
    try:
        if better:
            job.save(history[-1])
        folder.write_history(history)
        model, optimizer = job.model.state_dict(), job.optimizer.state_dict()
        folder.write_state({"model": model, "optimizer": optimizer, "epochs": len(history), "best": best})
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have their own for a full disk
        raise OSError(
            f"{folder.path} cannot be written ({first_line(error)}); see that there is space and permission, and resume"
        ) from error


def one_epoch(job: Job, batches: Iterable[Batch], epoch: int | None = None) -> dict[str, float]:
    """One pass over ``batches``: the mean of every term over examples, and their weighted sum as ``total``.

    Args:
        epoch: its number, where the pass trains; None evaluates.

    Raises:
        FloatingPointError: the loss is not finite; the message has its terms.
    """
    (means,) = _epoch_of([job], batches, epoch)
    return means


def _epoch_of(jobs: Sequence[Job], batches: Iterable[Batch], epoch: int | None) -> list[dict[str, float]]:
    """`one_epoch` of each of ``jobs``, on the same batches."""
    device = next(jobs[0].model.parameters()).device
    means = [_Means(job.weights) for job in jobs]
    for job in jobs:
        job.model.train(epoch is not None)
    states = [_random_state(device)] * len(jobs)
    for step, batch in enumerate(prefetch(batches)):
        for k, job in enumerate(jobs):
            if len(jobs) > 1:
                _set_random_state(device, states[k])
            means[k].add(_step(job, batch, epoch, step), len(batch) * batch.shard.count)
            if len(jobs) > 1:
                states[k] = _random_state(device)
    return [mean.result() for mean in means]


def _step(job: Job, batch: Batch, epoch: int | None, step: int) -> dict[str, float]:
    """The terms of the loss on ``batch``; where there is an ``epoch``, one step of the optimizer follows."""
    with torch.set_grad_enabled(epoch is not None):
        terms = job.loss(batch)
        total = torch.stack([job.weights[name] * term for name, term in terms.items()]).sum()
    losses = torch.stack([*terms.values(), total]).detach()
    all_reduce_mean([losses])  # so that all processes know the batch's, and stop together where one is not finite
    *values, of_batch = losses.tolist()
    found = dict(zip(terms, values, strict=True))
    if not math.isfinite(of_batch):
        raise NotFiniteError(job, found)
    if epoch is not None:
        job.before_step(epoch, step)
        job.optimizer.zero_grad(set_to_none=True)
        total.backward()
        all_reduce_mean(p.grad for p in job.model.parameters() if p.grad is not None)
        torch.nn.utils.clip_grad_norm_(job.model.parameters(), job.max_grad_norm)
        job.optimizer.step()
    return found


class _Means:
    """Means of terms over examples, from those of batches, and their sum with ``weights`` as ``total``."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._seen: defaultdict[str, int] = defaultdict(int)

    def add(self, terms: Mapping[str, float], examples: int) -> None:
        for name, value in terms.items():
            self._sums[name] += value * examples
            self._seen[name] += examples

    def result(self) -> dict[str, float]:
        means = {name: value / self._seen[name] for name, value in self._sums.items()}
        return {**means, "total": sum(self._weights[name] * value for name, value in means.items())}


def _random_state(device: torch.device) -> tuple[Tensor, ...]:
    """Torch's random state: of the CPU, and of ``device`` where that is a GPU."""
    return (torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else []))


def _set_random_state(device: torch.device, state: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(state[0])
    for of_gpu in state[1:]:
        torch.cuda.set_rng_state(of_gpu, device)


def epoch_seed(run: int, epoch: int) -> int:
    """A seed for one epoch of the run with seed ``run``; unlike a sum, no two runs share a stream."""
    return int(np.random.SeedSequence((run, epoch)).generate_state(1, np.uint64)[0]) >> 1


def _resume(job: Job, folder: RunFolder, device: torch.device) -> tuple[int, float, list[dict[str, Any]]]:
    """Load the state in ``folder``, if any, into the job: (epochs done, least validation loss, their history)."""
    state = folder.read_state(device)
    if not state:
        return 0, math.inf, []
    try:
        job.model.load_state_dict(state["model"])
        job.optimizer.load_state_dict(state["optimizer"])
        start, best = int(state["epochs"]), float(state["best"])
    except Exception as error:  # the file may be one of something else
        raise folder.damaged(error) from error
    history = folder.history()
    lost = [path for path in job.outputs if not path.exists()]
    if len(history) < start or lost:
        what = f"{lost[0]} is gone" if lost else f"{folder.history_path} ends earlier"
        raise ValueError(f"{folder.state_path} is of epoch {start}, but {what}; restore it, or delete {folder.path}")
    return start, best, history[:start]
