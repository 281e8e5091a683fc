"""One training run: pairs from the store, the model, its objectives, the checkpoint of least validation loss.

A run is a folder ``<recipe>-<digest>-seed<seed>`` with ``checkpoint.safetensors`` (the best so far), ``history.jsonl``
(a line an epoch), ``store.sha256`` (of what latents) and, until it ends, ``state.pt``, from which an interrupted run
goes on to the very same end: every random draw comes from the seed and the epoch's number, none from what happened
before. Several processes that were launched together are one run: each computes its share of every batch, and the main
process writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from hear_multiview import checkpoint
from hear_multiview.encoders.mlp import VIEWS
from training.data.batches import batches, draw_pairs
from training.data.prefetch import ahead
from training.data.store import LatentStore
from training.engine.distributed import average, count, main, main_first, wait
from training.engine.history import read_history
from training.engine.memory import keep_freed_memory
from training.recipes import Recipe
from training.systems.multiview.methods import METHODS, Batch, Model
from training.systems.multiview.objectives import OBJECTIVES

#: Gradients longer than this are shortened to it: near sim = 1 a cosine objective has a slope of up to 1 / floor.
LONGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Run:
    """A finished run: where its checkpoint is, and a record an epoch (terms of the loss, by split)."""

    checkpoint: Path
    history: list[dict[str, Any]]


def run_folder(runs: Path, recipe: Recipe, seed: int) -> Path:
    """Where under ``runs`` the run of ``recipe`` with ``seed`` lies."""
    return runs / f"{recipe.name}-{recipe.digest}-seed{seed}"


def pretrain(
    recipe: Recipe,
    store: LatentStore,
    runs: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> Run:
    """Train ``recipe`` on the store's train sensors, in a folder under ``runs``; keep the epoch of least total loss on
    its valid sensors.

    Raises:
        ValueError: the recipe names what is in no registry, a split has no two clips of one sensor, the store lacks
            clips, the run's folder is of another store or damaged, a batch cannot be divided by the processes, or the
            loss is no number.
    """
    recipe.check_names()
    if recipe.batch_size % count():
        raise ValueError(
            f"a batch of {recipe.batch_size} pairs cannot be divided by {count()} processes: launch so many that it can"
        )
    store.require()
    folder = run_folder(runs, recipe, seed)
    with main_first():
        _claim(folder, store)
    best_path, state_path = folder / "checkpoint.safetensors", folder / "state.pt"
    history_path = folder / "history.jsonl"
    history = read_history(history_path) if history_path.exists() else []
    if len(history) == recipe.epochs and best_path.exists() and not state_path.exists():
        checkpoint.load(best_path)  # says what is wrong with it, before something else stands on it
        return Run(best_path, history)

    keep_freed_memory()
    pairs = draw_pairs(store, recipe, seed)
    method = METHODS[recipe.method]
    gpus = [torch.device(device)] if torch.device(device).type == "cuda" else []  # of which the random state is kept
    with torch.random.fork_rng(gpus):
        torch.manual_seed(seed)
        model = method.model(recipe, store.frontend["dim"], len(store.split.train))
    model.encoder.mean, model.encoder.scale = store.statistics(np.unique(pairs["train"]).tolist())
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)

    start, best = 0, math.inf
    if state_path.exists():
        start, best = _resume(folder, model, optimizer, epochs=len(history))
    history = history[:start]

    steps = sum(math.ceil(len(part) / recipe.batch_size) for part in pairs.values())
    what = f"pretraining {recipe.name}"
    with tqdm(total=recipe.epochs * steps, initial=start * steps, desc=what, unit="step") as bar:
        for epoch in range(start, recipe.epochs):
            try:
                with torch.random.fork_rng(gpus):
                    of_epoch = _seed(seed, epoch + 1)
                    torch.manual_seed(of_epoch)  # for what the model draws
                    train = one_epoch(model, batches(store, pairs["train"], recipe, of_epoch, bar), recipe, optimizer)
                    # Validation sees the same cuts in every epoch, so that its losses can be compared.
                    torch.manual_seed(_seed(seed, 0))
                    valid = one_epoch(model, batches(store, pairs["valid"], recipe, _seed(seed, 0), bar), recipe)
            except FloatingPointError as error:
                raise ValueError(
                    f"the loss of recipe {recipe.name} is not a number in epoch {epoch + 1} ({error}): lower its "
                    f"learning rate; the best checkpoint so far stays in {folder}"
                ) from None
            record = {"epoch": epoch, "train": train, "valid": valid}
            history.append(record)
            better, best = valid["total"] < best, min(valid["total"], best)
            bar.set_postfix(train=f"{train['total']:.4f}", valid=f"{valid['total']:.4f}", best=f"{best:.4f}")
            if not main():
                continue
            if better:
                checkpoint.save(best_path, model.state_dict(), _card(recipe, store, seed, record))
            _write(history_path, "".join(json.dumps(line) + "\n" for line in history))
            _save_state(state_path, model, optimizer, epochs=epoch + 1, best=best)
    if main():
        state_path.unlink(missing_ok=True)
    wait()
    return Run(best_path, history)


def one_epoch(
    model: Model,
    batches: Iterable[Batch],
    recipe: Recipe,
    optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, float]:
    """One pass over ``batches``: the mean of every term of the loss over pairs, and their weighted sum as ``total``.

    With an ``optimizer`` it trains. Raises FloatingPointError, with the terms, where the loss is not finite.
    """
    device = model.encoder.mean.device
    model.train(optimizer is not None)
    sums, seen = dict.fromkeys(recipe.objectives, 0.0), 0
    for batch in ahead(batches):
        with torch.set_grad_enabled(optimizer is not None):
            out = model(batch.to(device))
            terms = {name: OBJECTIVES[name](out) for name in recipe.objectives}
            total = torch.stack([recipe.objectives[name] * term for name, term in terms.items()]).sum()
        losses = torch.stack([*terms.values(), total]).detach()
        average([losses])  # so that all processes know the batch's, and stop together where one is no number
        *values, of_batch = losses.tolist()
        if not math.isfinite(of_batch):
            raise FloatingPointError(", ".join(f"{k} {value:.4g}" for k, value in zip(terms, values, strict=True)))
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            average(p.grad for p in model.parameters() if p.grad is not None)
            torch.nn.utils.clip_grad_norm_(model.parameters(), LONGEST_GRADIENT)
            optimizer.step()
        pairs = len(batch.sensor) * batch.share.parts
        for name, value in zip(terms, values, strict=True):
            sums[name] += value * pairs
        seen += pairs
    means = {name: value / seen for name, value in sums.items()}
    return {**means, "total": sum(recipe.objectives[name] * value for name, value in means.items())}


def _resume(folder: Path, model: Model, optimizer: torch.optim.Optimizer, *, epochs: int) -> tuple[int, float]:
    """Load the interrupted run in ``folder`` into ``model`` and ``optimizer``: (epochs done, least validation loss).

    Raises ValueError where the state is damaged, or is ahead of the ``epochs`` in the history.
    """
    path = folder / "state.pt"
    try:
        state = torch.load(path, map_location=model.encoder.mean.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, best = int(state["epochs"]), float(state["best"])
    except Exception as error:  # on a file that is not its own, torch's unpickler fails in any way at all
        raise ValueError(f"{path} is damaged ({error!r:.120}): delete {folder}, or restore it") from error
    if epochs < start or not (folder / "checkpoint.safetensors").exists():
        raise ValueError(
            f"the run {folder} has a state after {start} epochs, but its history.jsonl or checkpoint.safetensors is "
            "lost: restore it, or delete the folder"
        )
    return start, best


def _claim(folder: Path, store: LatentStore) -> None:
    """Make ``folder`` the run's, on ``store``: one run must not go on, or end, with the latents of another."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "store.sha256"
    if not record.exists():
        _write(record, store.digest + "\n")
    elif record.read_text().strip() != store.digest:
        raise ValueError(
            f"the run {folder} is of other latents than {store.path} (clips, split or front end differ): choose "
            "another folder for the runs, or delete it"
        )


def _seed(run: int, epoch: int) -> int:
    """A seed for one epoch of the run with seed ``run``; unlike a sum, no two runs share a stream."""
    return int(np.random.SeedSequence((run, epoch)).generate_state(1, np.uint64)[0] >> 1)


def _save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, **progress: float) -> None:
    """What an interrupted run goes on from, written whole or not at all."""
    part = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), **progress}, part)
    part.replace(path)


def _card(recipe: Recipe, store: LatentStore, seed: int, record: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of itself; see `hear_multiview.checkpoint`."""
    latent = {} if recipe.latent is None else {"latent": recipe.latent}
    packages = ("hear_multiview", "torch", "descript-audio-codec", "numpy")
    return {
        "frontend": store.frontend,
        "encoder": {"dim": store.frontend["dim"], "width": recipe.width, "depth": recipe.depth, **latent},
        "views": list(VIEWS) if METHODS[recipe.method].divided else ["joint", "frontend"],
        "recipe": recipe.as_dict(),
        "seed": seed,
        "metrics": record,
        "data": store.data,
        "split": {"train": store.split.train, "valid": store.split.valid, "probe": store.split.probe},
        "versions": {package: version(package) for package in packages},
    }


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)
