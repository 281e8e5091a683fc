"""The training loop: every model of this project is trained by `fit`.

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

from sonyc_tasks.files import first_line
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
        valid: what an epoch is judged by: names and numbers, ``total`` among them where ``keep_best`` is set.
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
    valid: Callable[[Any], Mapping[str, float]]
    outputs: Sequence[Path]
    save: Callable[[dict[str, Any]], None]
    epochs: int
    steps: int
    max_grad_norm: float
    before_step: Callable[[int, int], None] = field(default=lambda epoch, step: None)
    keep_best: bool = True


def fit(job: Job, folder: RunFolder) -> list[dict[str, Any]]:
    """Train ``job`` in ``folder`` from where it stands there to its end; return a record of every epoch.

    A record is {"epoch": from 0, "train": means of the terms, "valid": what ``job.valid`` gives}.

    Raises:
        ValueError: the folder's state is damaged or has lost its history, or a loss is not finite.
    """
    device = next(job.model.parameters()).device
    start, best, history = _resume(job, folder, device)
    gpus = [device] if device.type == "cuda" else []  # whose random state is restored, too
    total = job.epochs * job.steps
    with tqdm(total=total, initial=start * job.steps, desc=job.name, unit="step", disable=not is_main()) as bar:
        for epoch in range(start, job.epochs):
            try:
                with torch.random.fork_rng(gpus):
                    train = one_epoch(job, job.train(epoch, bar), epoch)
                    valid = dict(job.valid(bar))
            except FloatingPointError as error:
                raise ValueError(
                    f"the loss of {job.name} is not finite in epoch {epoch + 1} ({error}); lower its learning rate; "
                    f"what was saved before stays in {folder.path}"
                ) from None
            record = {"epoch": epoch, "train": train, "valid": valid}
            history.append(record)
            better = not job.keep_best or valid["total"] < best
            best = min(best, valid.get("total", math.inf))
            bar.set_postfix({"train": f"{train['total']:.4f}", **{k: f"{v:.4f}" for k, v in valid.items()}})
            if is_main():
                _save(job, folder, history, better, best)
    if is_main():
        folder.state_path.unlink(missing_ok=True)
    barrier()
    return history


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
    job.model.train(epoch is not None)
    sums: defaultdict[str, float] = defaultdict(float)
    seen: defaultdict[str, int] = defaultdict(int)
    for step, batch in enumerate(prefetch(batches)):
        with torch.set_grad_enabled(epoch is not None):
            terms = job.loss(batch)
            total = torch.stack([job.weights[name] * term for name, term in terms.items()]).sum()
        losses = torch.stack([*terms.values(), total]).detach()
        all_reduce_mean([losses])  # so that all processes know the batch's, and stop together where one is not finite
        *values, of_batch = losses.tolist()
        if not math.isfinite(of_batch):
            raise FloatingPointError(", ".join(f"{k} {value:.4g}" for k, value in zip(terms, values, strict=True)))
        if epoch is not None:
            job.before_step(epoch, step)
            job.optimizer.zero_grad(set_to_none=True)
            total.backward()
            all_reduce_mean(p.grad for p in job.model.parameters() if p.grad is not None)
            torch.nn.utils.clip_grad_norm_(job.model.parameters(), job.max_grad_norm)
            job.optimizer.step()
        examples = len(batch) * batch.shard.count
        for name, value in zip(terms, values, strict=True):
            sums[name] += value * examples
            seen[name] += examples
    means = {name: value / seen[name] for name, value in sums.items()}
    return {**means, "total": sum(job.weights[name] * value for name, value in means.items())}


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
