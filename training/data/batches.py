"""Batches: what one step of training sees, cut from the store by the examples of a view sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from training.data.augmentations import augmented
from training.data.records import ByKind, Segment
from training.data.store import LatentStore
from training.data.views import Examples
from training.distributed import WHOLE, BatchShard, shard_for
from training.recipes import Recipe
from training.registry import entry

#: One clip in so many of a group validates, where clips do and not groups; at least two, which is a pair.
HELD_OUT = 10


@dataclass(frozen=True)
class Batch:
    """Examples of several views.

    Attributes:
        views: front-end frames of each view, float32 [example, frame, dim] of equal length.
        labels: by kind, 0 or 1 for each class, float32 [view, example, class]; besides, ``group``: the group's place
            among those that train, int64 [view, example], -1 for any other. Only supervised methods look at them.
        shard: which part of the batch that all processes share these examples are.
        renditions: of each view, the name of each example's rendition, [view][example].
    """

    views: tuple[Tensor, ...]
    labels: Mapping[str, Tensor]
    shard: BatchShard = WHOLE
    renditions: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", ByKind(self.labels))

    def __len__(self) -> int:
        return len(self.views[0])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        labels = {kind: values.to(device) for kind, values in self.labels.items()}
        return replace(self, views=tuple(x.to(device) for x in self.views), labels=labels)


def draw_examples(store: LatentStore, recipe: Recipe, seed: int) -> dict[str, Examples]:
    """The examples that train and those that validate, under "train" and "valid".

    Raises:
        ValueError: one of the two is empty, or the view sampler cannot draw with this recipe.
    """
    groups = [clip.group for clip in store.clips]
    partition = store.about.partition
    train = np.flatnonzero([group in partition.train for group in groups])
    if recipe.validation == "clips":
        held_out = _held_out(groups, partition.train, seed)
        parts = {"train": np.setdiff1d(train, held_out), "valid": held_out}
    else:
        parts = {"train": train, "valid": np.flatnonzero([group in partition.valid for group in groups])}
    drawn = {}
    for name, indices in parts.items():
        clips = [store.clips[i] for i in indices]
        try:
            found: Examples = entry("views", recipe.views)(clips, recipe.examples_per_clip, recipe.renditions, seed)
        except ValueError as error:
            raise ValueError(f"recipe {recipe.name}, views {recipe.views!r}: {error}") from None
        if not len(found):
            wanted = partition.train if recipe.validation == "clips" else getattr(partition, name)
            raise ValueError(
                f"the {name} groups {', '.join(map(str, wanted))} give no example for views {recipe.views!r} in "
                f"{store.path}; choose another split"
            )
        drawn[name] = replace(found, clips=indices[found.clips])
    return drawn


def batches(
    store: LatentStore,
    examples: Examples,
    recipe: Recipe,
    seed: int,
    bar: tqdm[NoReturn] | None = None,
    device: str = "cpu",
) -> Iterator[Batch]:
    """``examples`` in batches of the recipe's size on ``device``, in an order and with cuts drawn from ``seed``.

    Each of several processes reads its shard only. ``bar`` advances by one with each batch.
    """
    generator = torch.Generator().manual_seed(seed)
    place = "cpu" if recipe.augmentations else device  # augmentations are drawn on a CPU
    for rows in _rows(examples, recipe.batch_size, generator):
        segments = cut(store, examples, rows, recipe.crop, generator)
        shard = shard_for(len(rows))
        part = shard.rows(len(rows))
        views = []
        for view, row in enumerate(segments):
            x = store.read(row[part], place)
            if recipe.augmentations:
                of_examples = zip(x, rows[part].tolist(), strict=True)
                sensor = examples.sensors[view]
                x = torch.stack([augmented(f, recipe.augmentations, seed, k, view, sensor) for f, k in of_examples])
            views.append(x)
        clips = torch.from_numpy(examples.clips[rows[part]].T.copy())
        renditions = tuple(tuple(segment.rendition for segment in row[part]) for row in segments)
        labels = {kind: values[clips] for kind, values in store.labels.items()}
        yield Batch(tuple(views), labels, shard, renditions).to(device)
        if bar is not None:
            bar.update()


def number_of_batches(examples: Examples, size: int) -> int:
    """How many batches of up to ``size`` one epoch of ``examples`` has."""
    counts = [len(examples)] if examples.together is None else np.unique(examples.together, return_counts=True)[1]
    return sum(-(-int(count) // size) for count in counts)


def _rows(examples: Examples, size: int, generator: torch.Generator) -> list[np.ndarray]:
    """Indices of the examples of every batch, in an order drawn from ``generator``."""
    order = torch.randperm(len(examples), generator=generator)
    if examples.together is None:
        return [rows.numpy() for rows in order.split(size)]
    kinds = examples.together[order.numpy()]
    parts = [rows.numpy() for kind in np.unique(kinds) for rows in order[kinds == kind].split(size)]
    return [parts[k] for k in torch.randperm(len(parts), generator=generator).tolist()]


def cut(
    store: LatentStore, examples: Examples, rows: np.ndarray, crop: int | None, generator: torch.Generator
) -> list[list[Segment]]:
    """Segments [view][example] of the examples ``rows``, all of one length: the shortest, or ``crop`` frames.

    Views that are aligned begin at the same moment of the clip, which is the same frame where they are equally long;
    every other one begins at a frame of its own, drawn at random.
    """
    clips, kinds = examples.clips[rows].T, examples.rendition[rows].T  # [view, example]
    names = [[examples.renditions[k] for k in row] for row in kinds]
    of_views = list(zip(clips, names, strict=True))
    of = {name: store.renditions[name].length for name in examples.renditions}
    lengths = np.array([[of[name][c] for c, name in zip(*view, strict=True)] for view in of_views])
    frames = int(min(lengths.min(), crop or lengths.max()))
    starts: list[list[int]] = []
    for view, leader in enumerate(examples.aligned):
        if leader != view:
            moments = np.array(starts[leader]) / lengths[leader]  # of a clip's length, which a change of speed changes
            starts.append(np.rint(moments * lengths[view]).astype(int).tolist())
            continue
        together = [other for other, first in enumerate(examples.aligned) if first == view]
        spare = lengths[together].min(axis=0) - frames
        starts.append([int(torch.randint(n + 1, (), generator=generator)) if n else 0 for n in spare.tolist()])
    return [
        [Segment(int(c), name, s, frames) for c, name, s in zip(*of_view, strict=True)]
        for of_view in zip(clips, names, starts, strict=True)
    ]


def _held_out(groups: Sequence[int | str], train: Sequence[int | str], seed: int) -> np.ndarray:
    """A tenth of the clips of each group of ``train`` with four or more."""
    rng = np.random.default_rng((seed, HELD_OUT))
    chosen = []
    for group in train:
        own = np.flatnonzero([each == group for each in groups])
        if len(own) >= 4:
            chosen.append(rng.choice(own, max(2, len(own) // HELD_OUT), replace=False))
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)
