"""Pooling over time: the frames of a clip to one vector, all at once or a chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

#: How frame embeddings [frame, size] become a scene embedding: their ``mean`` or ``max`` over time, [size]; or their
#: ``statistics``, mean and standard deviation side by side, [2 · size] (statistics pooling, Snyder et al. 2018).
Pool = Literal["mean", "max", "statistics"]
POOLS: tuple[Pool, ...] = get_args(Pool)


def known_pool(pool: str) -> Pool:
    """``pool`` itself, if it is one of `POOLS`.

    Raises:
        ValueError: it is not.
    """
    if pool not in POOLS:
        raise ValueError(f"unknown pool {pool!r}; choose from {', '.join(POOLS)}")
    return pool


def pooled_sizes(sizes: Mapping[str, int], pools: Mapping[str, Pool]) -> dict[str, int]:
    """Name to size of each part of a scene embedding, from those of a frame embedding and how each is pooled."""
    return {name: size * (2 if pools[name] == "statistics" else 1) for name, size in sizes.items()}


def pool_over_time(frames: Tensor, pool: Pool) -> Tensor:
    """All frames of a clip at once, with gradients: [clip, frame, size] to [clip, size], or [clip, 2 · size]."""
    if pool == "max":
        return frames.amax(dim=1)
    mean = frames.mean(dim=1)
    return torch.cat([mean, frames.std(dim=1, correction=0)], dim=1) if pool == "statistics" else mean


class Pooling:
    """One part of a scene embedding, of chunks of frames that are added one after the other.

    Sums are in float64, so that 20 minutes lose nothing against 1 second.

    >>> pooling = Pooling("statistics")
    >>> for chunk in torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]]).split(1):
    ...     pooling.add(chunk)
    >>> pooling.scene()
    tensor([[4.0000, 2.2361]])
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.count = 0
        self.largest: Tensor | None = None
        self.total: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, frames: Tensor) -> None:
        """Take the next frames [clip, frame, size] in."""
        if self.pool == "max":
            largest = frames.amax(dim=1)
            self.largest = largest if self.largest is None else torch.maximum(self.largest, largest)
            return
        self.count += frames.shape[1]
        self.total += frames.sum(dim=1, dtype=torch.float64)
        if self.pool == "statistics":
            self.squares += frames.double().square().sum(dim=1)

    def scene(self) -> Tensor:
        """All frames so far, pooled: float32 [clip, size], or [clip, 2 · size] for statistics."""
        if self.largest is not None:
            return self.largest
        mean = torch.as_tensor(self.total) / self.count
        if self.pool == "mean":
            return mean.float()
        deviation = (self.squares / self.count - mean**2).clamp(min=0).sqrt()
        return torch.cat([mean, deviation], dim=1).float()
