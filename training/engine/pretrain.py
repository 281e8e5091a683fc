"""Pretraining runs: examples from the store, a method, its objectives, the checkpoint of least validation loss.

A run is a folder ``<recipe>-<digest>-seed<seed>`` with ``checkpoint.safetensors`` (the best so far), ``history.jsonl``
(a line an epoch), ``made-of.json`` (which latents, and in which arithmetic) and, until it ends, ``state.pt`` (see
`training.engine.loop`). Runs of one seed whose recipes see the same batches can be trained together, which reads every
batch once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hear_multiview import __version__, checkpoint
from hear_multiview.encoders import make_encoder
from hear_multiview.encoders.linear import product_for, set_product
from sonyc_tasks.errors import first_line
from training.data.batches import Batch, batches, draw_examples, number_of_batches
from training.data.records import ORIGINAL, ByKind
from training.data.store import LatentStore, deviations
from training.data.views import Examples
from training.distributed import all_reduce_mean, held_by_main, main_process_first, world_size
from training.engine.loop import Job, epoch_seed, fit_together
from training.engine.malloc import tune_malloc
from training.engine.precision import check_precision, forward_in, products_in
from training.engine.run_folder import RunFolder, check_or_write_manifest
from training.methods import Method
from training.recipes import Recipe
from training.registry import entry

#: Longer gradients are scaled down to this norm: near sim = 1 a cosine objective has a slope of up to 1 / EPS.
MAX_GRAD_NORM = 1.0
#: In a run's folder, the epoch of least validation loss.
CHECKPOINT = "checkpoint.safetensors"
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


def pretrain(
    recipe: Recipe, store: LatentStore, runs: Path, *, seed: int = 0, device: str = "cpu", precision: str = "fp32"
) -> Run:
    """Train ``recipe`` on the store's training groups, in a folder under ``runs``.

    The epoch of least total validation loss is kept. A finished run is returned as it is. A second command for the same
    run waits for the first.

    Args:
        precision: of the model's products, see `training.engine.precision`.

    Raises:
        ValueError: the recipe names what is in no registry, a part of the split gives no example, the store lacks
            clips or a rendition, the run's folder is of another store or precision, or damaged, a batch cannot be
            divided by the processes, the device lacks the precision, or the loss is not finite.
    """
    (run,) = pretrain_together([recipe], store, runs, seed=seed, device=device, precision=precision)
    return run


def same_batches(recipe: Recipe) -> tuple[object, ...]:
    """What the batches of a run depend on besides the store and the seed, and for how many epochs they come.

    >>> from training.recipes import recipes
    >>> len({same_batches(recipes()[name]) for name in ("multiview_rec", "contrastive", "supervised_sensor")})
    2
    """
    drawn = (recipe.views, recipe.renditions, tuple(recipe.augmentations.items()), recipe.validation)
    return (*drawn, recipe.examples_per_clip, recipe.crop, recipe.batch_size, recipe.epochs)


def pretrain_together(
    recipes: Sequence[Recipe],
    store: LatentStore,
    runs: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "fp32",
) -> list[Run]:
    """`pretrain` with each of ``recipes``, whose batches are the same (`same_batches`); each batch is read once.

    On a CPU in fp32, each run is to the bit what `pretrain` makes of its recipe alone. Finished runs are not repeated,
    and interrupted ones resume, each from where it is.

    Raises:
        ValueError: as from `pretrain`, or the recipes do not see the same batches.
    """
    check_precision(precision, device)
    if others := [recipe.name for recipe in recipes if same_batches(recipe) != same_batches(recipes[0])]:
        raise ValueError(f"recipe {others[0]} sees other batches than {recipes[0].name}; train it by itself")
    for recipe in recipes:
        _check(recipe, store)
    folders = [RunFolder(run_folder(runs, recipe, seed)) for recipe in recipes]
    with ExitStack() as stack:
        for folder in sorted(folders, key=lambda folder: folder.path):  # in one order, so that no two commands hang
            stack.enter_context(held_by_main(folder.path))
        both = list(zip(recipes, folders, strict=True))
        arithmetic = [_arithmetic(recipe, folder, store, device, precision) for recipe, folder in both]
        finished = [_is_finished(recipe, folder) for recipe, folder in both]
        if not all(finished):
            tune_malloc()
            examples = draw_examples(store, recipes[0], seed)
            jobs = [
                _job(recipe, store, examples, seed, device, folder.path / CHECKPOINT, arithmetic[k])
                for k, (recipe, folder) in enumerate(both)
                if not finished[k]
            ]
            with products_in(precision):
                fit_together(jobs, [folder for k, folder in enumerate(folders) if not finished[k]])
    return [Run(folder.path / CHECKPOINT, folder.history()) for folder in folders]


def _check(recipe: Recipe, store: LatentStore) -> None:
    """Raise ValueError where ``recipe`` cannot be trained on ``store`` by these processes."""
    recipe.check_names()
    if recipe.batch_size % world_size():
        raise ValueError(
            f"a batch of {recipe.batch_size} examples cannot be divided by {world_size()} processes; launch a number "
            "that divides it"
        )
    store.require(renditions=recipe.renditions)


def _arithmetic(recipe: Recipe, folder: RunFolder, store: LatentStore, device: str, precision: str) -> dict[str, str]:
    """The precision and the product that the run in ``folder`` is computed with, for its checkpoint's card.

    A new run takes the product that is the faster one here; a resumed one keeps its own, whose last digits it has.
    """

    def product() -> dict[str, str]:
        if device != "cpu" or precision != "fp32":
            return {"product": "torch"}
        rows = recipe.batch_size * (recipe.crop or store.renditions[ORIGINAL].longest)
        return {"product": product_for(build_model(recipe, store, 0), rows)}

    made_of = {"latent store": store.digest, "precision": precision}
    older = {"precision": "fp32", "product": "onednn"}  # of runs of version 0.4 and before
    with main_process_first():
        record = check_or_write_manifest(folder.path / "made-of.json", made_of, noted=product, older=older)
    return {name: str(record[name]) for name in older}


def _is_finished(recipe: Recipe, folder: RunFolder) -> bool:
    """Whether the run of ``recipe`` in ``folder`` has ended.

    Raises:
        ValueError: it has, with a checkpoint that cannot be read.
    """
    best = folder.path / CHECKPOINT
    if len(folder.history()) != recipe.epochs or not best.exists() or folder.state_path.exists():
        return False
    checkpoint.load(best)  # says what is wrong with it, before something else stands on it
    return True


def save_untrained(trained: Path, path: Path, *, seed: int = 0) -> None:
    """Write the encoder of the checkpoint ``trained`` as it was before the first step, unless ``path`` is there.

    It has the same standardisation, and the weights that ``seed`` draws: what training adds is what a checkpoint of
    that seed has beyond this one.
    """
    if path.exists():
        return
    saved = checkpoint.load(trained)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        encoder = make_encoder(**saved.card["encoder"])
    kept = {f"encoder.{name}": saved.tensors[f"encoder.{name}"] for name in ("mean", "scale")}
    drawn = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    card = {key: saved.card[key] for key in ("frontend", "encoder", "views")}
    checkpoint.save(path, {**drawn, **kept}, card)


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
        mean, scale = moments[0].float(), torch.from_numpy(deviations(*moments.numpy())).float()
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
    recipe: Recipe,
    store: LatentStore,
    examples: dict[str, Examples],
    seed: int,
    device: str,
    best: Path,
    arithmetic: Mapping[str, str],
) -> Job:
    """What `fit_together` has to know to train ``recipe``; its checkpoint is to be ``best``."""
    model = _standardising_model(recipe, store, examples, seed).to(device)
    set_product(model, arithmetic["product"])
    objectives = {name: entry("objectives", name) for name in recipe.objectives}

    def loss(batch: Batch) -> dict[str, torch.Tensor]:
        out = forward_in(arithmetic["precision"], model, batch)
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
        return batches(store, examples[part], recipe, of_epoch, bar, device)

    def save(record: dict[str, Any]) -> None:
        checkpoint.save(best, model.state_dict(), _card(recipe, store, model.encoder, seed, record, arithmetic))

    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)
    return Job(
        name=f"pretraining {recipe.name}",
        model=model,
        optimizer=optimizer,
        weights=recipe.objectives,
        loss=loss,
        train=lambda epoch, bar: seeded("train", epoch + 1, bar),
        # Validation sees the same cuts in every epoch, so that its losses can be compared.
        valid=lambda bar: seeded("valid", 0, bar),
        outputs=[best],
        save=save,
        epochs=recipe.epochs,
        steps=sum(number_of_batches(part, recipe.batch_size) for part in examples.values()),
        max_grad_norm=MAX_GRAD_NORM,
        before_step=_schedule(recipe, number_of_batches(examples["train"], recipe.batch_size), optimizer),
    )


def _schedule(recipe: Recipe, batches: int, optimizer: torch.optim.Optimizer) -> Callable[[int, int], None]:
    """What sets the learning rate before a step, from its epoch and its number among the ``batches`` of that epoch."""

    def cosine(epoch: int, step: int) -> None:
        """Half a period, down to nearly zero (Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts)."""
        done = (epoch * batches + step) / (recipe.epochs * batches)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2

    return {"constant": lambda epoch, step: None, "cosine": cosine}[recipe.schedule]


def _card(
    recipe: Recipe,
    store: LatentStore,
    encoder: Any,
    seed: int,
    record: Mapping[str, Any],
    arithmetic: Mapping[str, str],
) -> dict[str, Any]:
    """What a checkpoint says of itself; see `hear_multiview.checkpoint`."""
    packages = ("torch", "descript-audio-codec", "numpy")
    return {
        "frontend": dict(store.about.frontend),
        "encoder": encoder.arguments,
        "views": entry("methods", recipe.method).views(encoder.parts),
        "recipe": recipe.as_dict(),
        "seed": seed,
        "metrics": dict(record),
        "arithmetic": dict(arithmetic),
        "data": store.about.data,
        "split": vars(store.about.partition),
        # Of the code that runs, which pip forgets about where it is installed from a working copy that has moved on.
        "versions": {"hear_multiview": __version__, **{package: version(package) for package in packages}},
    }
