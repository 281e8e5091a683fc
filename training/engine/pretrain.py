"""One pretraining run: examples from the store, a method, its objectives, the checkpoint of least validation loss.

A run is a folder ``<recipe>-<digest>-seed<seed>`` with ``checkpoint.safetensors`` (the best so far), ``history.jsonl``
(a line an epoch), ``made-of.json`` (which latents) and, until it ends, ``state.pt`` (see `training.engine.loop`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hear_multiview import checkpoint
from sonyc_tasks.files import first_line
from training.data.batches import Batch, batches, draw_examples, number_of_batches
from training.data.records import ByKind
from training.data.store import LatentStore
from training.data.views import Examples
from training.distributed import all_reduce_mean, main_process_first, world_size
from training.engine.loop import Job, epoch_seed, fit, one_epoch
from training.engine.malloc import tune_malloc
from training.engine.run_folder import RunFolder, check_or_write_manifest
from training.methods import Method
from training.recipes import Recipe
from training.registry import entry

#: Longer gradients are scaled down to this norm: near sim = 1 a cosine objective has a slope of up to 1 / EPS.
MAX_GRAD_NORM = 1.0
#: Batches for the statistics of what drawn sensors hear: 65,536 frames of the bundled recipe.
HEARD_BATCHES = 16


@dataclass(frozen=True)
class Run:
    """A finished run: where its checkpoint is, and a record of each epoch (terms of the loss, by split)."""

    checkpoint: Path
    history: list[dict[str, Any]]


def run_folder(runs: Path, recipe: Recipe, seed: int) -> Path:
    """Where under ``runs`` the run of ``recipe`` with ``seed`` lies."""
    return runs / f"{recipe.name}-{recipe.digest}-seed{seed}"


def pretrain(recipe: Recipe, store: LatentStore, runs: Path, *, seed: int = 0, device: str = "cpu") -> Run:
    """Train ``recipe`` on the store's training groups, in a folder under ``runs``.

    The epoch of least total validation loss is kept. A finished run is returned as it is.

    Raises:
        ValueError: the recipe names what is in no registry, a part of the split gives no example, the store lacks
            clips or a rendition, the run's folder is of another store or damaged, a batch cannot be divided by the
            processes, or the loss is not finite.
    """
    recipe.check_names()
    if recipe.batch_size % world_size():
        raise ValueError(
            f"a batch of {recipe.batch_size} examples cannot be divided by {world_size()} processes; launch a number "
            "that divides it"
        )
    store.require(renditions=recipe.renditions)
    folder = RunFolder(run_folder(runs, recipe, seed))
    with main_process_first():
        check_or_write_manifest(folder.path / "made-of.json", {"latent store": store.digest})
    best = folder.path / "checkpoint.safetensors"
    history = folder.history()
    if len(history) == recipe.epochs and best.exists() and not folder.state_path.exists():
        checkpoint.load(best)  # says what is wrong with it, before something else stands on it
        return Run(best, history)
    tune_malloc()
    examples = draw_examples(store, recipe, seed)
    model = _standardising_model(recipe, store, examples, seed)
    history = fit(_job(recipe, store, model.to(device), examples, seed, best), folder)
    return Run(best, history)


def save_untrained(recipe: Recipe, store: LatentStore, path: Path, *, seed: int = 0) -> Path:
    """Write the checkpoint of ``recipe``'s model as `pretrain` finds it before the first step, unless it is there.

    It has the statistics of the training frames and the weights that ``seed`` draws: what training adds is what a
    trained checkpoint of that recipe and seed has beyond this one.

    Returns:
        ``path``.
    """
    if not path.exists():
        model = _standardising_model(recipe, store, draw_examples(store, recipe, seed), seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, model.state_dict(), _card(recipe, store, model.encoder, seed, {}))
    return path


def _standardising_model(recipe: Recipe, store: LatentStore, examples: dict[str, Examples], seed: int) -> Any:
    """`build_model` whose encoder standardises by the clips of the training ``examples``, or, where they are dry and
    sensors are drawn for them, by what these hear in the first batches."""
    model = build_model(recipe, store, seed)
    train = examples["train"]
    if train.shares_sensors:
        first = islice(batches(store, train, recipe, epoch_seed(seed, 0)), HEARD_BATCHES)
        frames = torch.cat([torch.cat(batch.views).flatten(0, 1) for batch in first]).double()
        moments = torch.stack([frames.mean(0), frames.square().mean(0)])
        all_reduce_mean([moments])
        mean, scale = moments[0].float(), (moments[1] - moments[0].square()).sqrt().float()
    else:
        mean, scale = store.statistics(np.unique(train.clips).tolist())
    model.encoder.mean, model.encoder.scale = mean, scale
    return model


def build_model(recipe: Recipe, store: LatentStore, seed: int) -> Any:
    """The recipe's model for the frames of ``store``, with weights drawn from ``seed``; torch's random state stays."""
    sizes = ByKind({kind: len(classes) for kind, classes in store.about.labels.items()})
    sizes["group"] = len(store.about.partition.train)
    method: Method = entry("methods", recipe.method)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        try:
            model = method.build(store.about.frontend["dim"], sizes, **recipe.model)
            if not all(parameter.numel() for parameter in model.parameters()):
                raise RuntimeError("a layer has no weights")
            return model
        except (TypeError, RuntimeError) as error:  # no such argument, or torch cannot make such a layer
            raise ValueError(
                f"method {recipe.method} of recipe {recipe.name} cannot be built with {dict(recipe.model)} "
                f"({first_line(error)}); mend the recipe's model"
            ) from error


def _job(
    recipe: Recipe, store: LatentStore, model: nn.Module, examples: dict[str, Examples], seed: int, best: Path
) -> Job:
    """What `fit` has to know to train ``recipe``."""
    device = next(model.parameters()).device
    objectives = {name: entry("objectives", name) for name in recipe.objectives}

    def loss(batch: Batch) -> dict[str, torch.Tensor]:
        out = model(batch.to(device))
        try:
            return {name: objective(out) for name, objective in objectives.items()}
        except AttributeError as error:
            raise ValueError(
                f"an objective of recipe {recipe.name} does not go with what method {recipe.method} returns ({error}); "
                "take another method or other objectives"
            ) from error

    def seeded(part: str, epoch: int, bar: Any) -> Iterator[Batch]:
        of_epoch = epoch_seed(seed, epoch)
        torch.manual_seed(of_epoch)  # for what the model draws
        return batches(store, examples[part], recipe, of_epoch, bar)

    def save(record: dict[str, Any]) -> None:
        checkpoint.save(best, model.state_dict(), _card(recipe, store, model.encoder, seed, record))

    job = Job(
        name=f"pretraining {recipe.name}",
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate),
        weights=recipe.objectives,
        loss=loss,
        train=lambda epoch, bar: seeded("train", epoch + 1, bar),
        # Validation sees the same cuts in every epoch, so that its losses can be compared.
        valid=lambda bar: one_epoch(job, seeded("valid", 0, bar)),
        outputs=[best],
        save=save,
        epochs=recipe.epochs,
        steps=sum(number_of_batches(part, recipe.batch_size) for part in examples.values()),
        max_grad_norm=MAX_GRAD_NORM,
    )
    return job


def _card(recipe: Recipe, store: LatentStore, encoder: Any, seed: int, record: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of itself; see `hear_multiview.checkpoint`."""
    packages = ("hear_multiview", "torch", "descript-audio-codec", "numpy")
    return {
        "frontend": dict(store.about.frontend),
        "encoder": encoder.arguments,
        "views": entry("methods", recipe.method).views(encoder.parts),
        "recipe": recipe.as_dict(),
        "seed": seed,
        "metrics": record,
        "data": store.about.data,
        "split": vars(store.about.partition),
        "versions": {package: version(package) for package in packages},
    }
