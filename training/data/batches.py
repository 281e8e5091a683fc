"""What a step of training sees: pairs of clips by the recipe's view rule, cut to one length, with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import torch
from tqdm import tqdm

from sonyc_tasks.dataset.taxonomy import COARSE
from training.data.store import LatentStore
from training.data.views import VIEWS
from training.engine.distributed import share
from training.recipes import Recipe
from training.systems.multiview.methods import Batch

#: One clip in so many of a sensor validates, where clips do and not sensors; at least two, which is a pair.
HELD_OUT = 10


def draw_pairs(store: LatentStore, recipe: Recipe, seed: int) -> dict[str, np.ndarray]:
    """The pairs [pair, 2] of store indices that train, and those that validate, under "train" and "valid".

    Raises:
        ValueError: one of the two is without any pair.
    """
    sensors = np.array([clip.sensor for clip in store.clips])
    train = np.flatnonzero(np.isin(sensors, store.split.train))
    if recipe.validation == "clips":
        held_out = _held_out(sensors, train, seed)
        parts = {"train": np.setdiff1d(train, held_out), "valid": held_out}
    else:
        parts = {"train": train, "valid": np.flatnonzero(np.isin(sensors, store.split.valid))}
    pairs = {}
    for name, indices in parts.items():
        drawn = VIEWS[recipe.views]([store.clips[i] for i in indices], recipe.pairs_per_clip, seed)
        if not len(drawn):
            wanted = getattr(store.split, "train" if recipe.validation == "clips" else name)
            raise ValueError(
                f"the {name} sensors {', '.join(map(str, wanted))} have no two clips of one sensor in {store.path}: "
                "choose another split"
            )
        pairs[name] = indices[drawn]
    return pairs


def batches(
    store: LatentStore, pairs: np.ndarray, recipe: Recipe, seed: int, bar: tqdm[NoReturn] | None = None
) -> Iterator[Batch]:
    """The recipe's ``batch_size`` of ``pairs`` [pair, 2] at a time, in an order and with cuts drawn from ``seed``;
    ``bar`` goes on by one with each. Of several processes each reads its share only."""
    generator = torch.Generator().manual_seed(seed)
    for chosen in torch.randperm(len(pairs), generator=generator).split(recipe.batch_size):
        both = pairs[chosen.numpy()]
        own = share(len(both))
        rows = own.rows(len(both))
        kept = np.arange(both.size).reshape(2, -1)[:, rows].reshape(-1)
        x_1, x_2 = store.read(both.T.reshape(-1).tolist(), recipe.crop, generator, kept.tolist()).chunk(2)
        both = both[rows]
        sources = [_sources(store, column) for column in both.T]
        yield Batch((x_1, x_2), (sources[0], sources[1]), _sensor(store, both[:, 0]), own)
        if bar is not None:
            bar.update()


def _held_out(sensors: np.ndarray, train: np.ndarray, seed: int) -> np.ndarray:
    """Of the clips ``train`` of each sensor with four or more, a tenth."""
    rng = np.random.default_rng((seed, HELD_OUT))
    chosen = []
    for sensor in np.unique(sensors[train]):
        own = train[sensors[train] == sensor]
        if len(own) >= 4:
            chosen.append(rng.choice(own, max(2, len(own) // HELD_OUT), replace=False))
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def _sources(store: LatentStore, indices: np.ndarray) -> torch.Tensor:
    return torch.tensor([[float(name in store.clips[i].sources) for name in COARSE] for i in indices])


def _sensor(store: LatentStore, indices: Sequence[int] | np.ndarray) -> torch.Tensor:
    """Place among the training sensors; 0 for one that is not among them, whose sensor nothing may ask for."""
    place = {sensor: k for k, sensor in enumerate(store.split.train)}
    return torch.tensor([place.get(store.clips[i].sensor, 0) for i in indices])
