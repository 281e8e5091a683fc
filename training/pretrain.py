"""One training run: pairs from the store, the model, its objectives, the checkpoint of least validation loss.

A run is a folder ``<recipe>-<digest>-seed<seed>`` with ``checkpoint.safetensors`` (the best so far), ``history.jsonl``
(a line an epoch), ``store.sha256`` (of what latents) and, until it ends, ``state.pt``, from which an interrupted run
goes on to the very same end: every random draw comes from the seed and the epoch's number, none from what happened
before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hear_multiview import checkpoint
from training.models import MultiViewAutoencoder
from training.objectives import OBJECTIVES
from training.recipes import Recipe
from training.store import LatentStore
from training.views import same_sensor_pairs

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
        ValueError: a split has no two clips of one sensor, the store lacks clips, the run's folder is of another
            store, or the loss is no number.
    """
    if store.missing():
        raise ValueError(
            f"the latent store {store.path} lacks {len(store.missing())} clips: run `python -m training latents` again"
        )
    folder = run_folder(runs, recipe, seed)
    _claim(folder, store)
    best_path, state_path = folder / "checkpoint.safetensors", folder / "state.pt"
    history_path = folder / "history.jsonl"
    history = [json.loads(line) for line in history_path.read_text().splitlines()] if history_path.exists() else []
    if len(history) == recipe.epochs and best_path.exists() and not state_path.exists():
        return Run(best_path, history)

    pairs = {name: _pairs(store, getattr(store.split, name), name, recipe, seed) for name in ("train", "valid")}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MultiViewAutoencoder(store.frontend["dim"], recipe.width, recipe.depth)
    model.encoder.mean, model.encoder.scale = store.statistics(np.unique(pairs["train"]).tolist())
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)

    start, best = 0, math.inf
    if state_path.exists():
        state = torch.load(state_path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start, best = state["epochs"], state["best"]
    history = history[:start]

    steps = sum(math.ceil(len(part) / recipe.batch_size) for part in pairs.values())
    what = f"pretraining {recipe.name}"
    with tqdm(total=recipe.epochs * steps, initial=start * steps, desc=what, unit="step") as bar:
        for epoch in range(start, recipe.epochs):
            batches = partial(_batches, store, recipe=recipe, bar=bar)
            try:
                with torch.random.fork_rng():
                    torch.manual_seed(_seed(seed, epoch + 1))  # for what the model draws
                    train = _epoch(model, batches(pairs["train"], seed=_seed(seed, epoch + 1)), recipe, optimizer)
                # Validation sees the same cuts in every epoch, so that its losses can be compared.
                valid = _epoch(model, batches(pairs["valid"], seed=_seed(seed, 0)), recipe)
            except FloatingPointError as error:
                raise ValueError(
                    f"the loss of recipe {recipe.name} is not a number in epoch {epoch + 1} ({error}): lower its "
                    f"learning rate; the best checkpoint so far stays in {folder}"
                ) from None
            record = {"epoch": epoch, "train": train, "valid": valid}
            history.append(record)
            if valid["total"] < best:
                best = valid["total"]
                checkpoint.save(best_path, model.state_dict(), _card(recipe, store, seed, record))
            bar.set_postfix(train=f"{train['total']:.4f}", valid=f"{valid['total']:.4f}", best=f"{best:.4f}")
            _write(history_path, "".join(json.dumps(line) + "\n" for line in history))
            _save_state(state_path, model, optimizer, epochs=epoch + 1, best=best)
    state_path.unlink(missing_ok=True)
    return Run(best_path, history)


def _epoch(
    model: MultiViewAutoencoder,
    batches: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
    optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, float]:
    """One pass over ``batches``: the mean of every term of the loss over pairs, and their weighted sum as ``total``.

    With an ``optimizer`` it trains. Raises FloatingPointError, with the terms, where the loss is not finite.
    """
    device = model.encoder.mean.device
    model.train(optimizer is not None)
    sums, seen = dict.fromkeys(recipe.objectives, 0.0), 0
    for x_1, x_2 in batches:
        with torch.set_grad_enabled(optimizer is not None):
            out = model(x_1.to(device), x_2.to(device), recipe.mask if optimizer is not None else 0.0)
            terms = {name: OBJECTIVES[name](out) for name in recipe.objectives}
            total = torch.stack([recipe.objectives[name] * term for name, term in terms.items()]).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(", ".join(f"{name} {term.item():.4g}" for name, term in terms.items()))
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), LONGEST_GRADIENT)
            optimizer.step()
        for name, term in terms.items():
            sums[name] += term.item() * len(x_1)
        seen += len(x_1)
    means = {name: value / seen for name, value in sums.items()}
    return {**means, "total": sum(recipe.objectives[name] * value for name, value in means.items())}


def _pairs(store: LatentStore, sensors: tuple[int, ...], name: str, recipe: Recipe, seed: int) -> np.ndarray:
    """Pairs [pair, 2] of store indices, of the clips of ``sensors``."""
    indices = np.array([i for i, clip in enumerate(store.clips) if clip.sensor in sensors], np.int64)
    pairs = same_sensor_pairs([store.clips[i].sensor for i in indices], recipe.pairs_per_clip, seed)
    if not len(pairs):
        raise ValueError(
            f"the {name} sensors {', '.join(map(str, sensors))} have no two clips of one sensor in {store.path}: "
            "choose another split"
        )
    return indices[pairs]


def _batches(
    store: LatentStore, pairs: np.ndarray, *, recipe: Recipe, bar: tqdm[NoReturn], seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The two views of ``batch_size`` of ``pairs`` at a time, each [pair, frame, dim], in an order and with cuts drawn
    from ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    for chosen in torch.randperm(len(pairs), generator=generator).split(recipe.batch_size):
        both = pairs[chosen.numpy()]
        x = store.read(both.T.reshape(-1).tolist(), recipe.crop, generator)
        yield x[: len(both)], x[len(both) :]
        bar.update()


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
    packages = ("hear_multiview", "torch", "descript-audio-codec", "numpy")
    return {
        "frontend": store.frontend,
        "encoder": {"dim": store.frontend["dim"], "width": recipe.width, "depth": recipe.depth},
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
