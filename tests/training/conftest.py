"""Latent stores for tests, made and read in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from training.data.records import ORIGINAL, Clip, Description, Partition, Segment
from training.data.store import LatentStore

FRONTEND = {"name": "demo", "sha256": "0" * 64, "hop": 512, "sample_rate": 44_100}


def _make_store(
    path: Path | str,
    clips: Sequence[Clip],
    frames: Sequence[np.ndarray] | None,
    partition: Partition,
    *,
    dim: int = 8,
    longest: int | None = None,
    **about: Any,
) -> LatentStore:
    described = Description(clips, {**FRONTEND, "dim": dim, **about.pop("frontend", {})}, partition, **about)
    most = longest or max((len(x) for x in frames or ()), default=1)
    store = LatentStore.create(path, described, most)
    for index, held in enumerate(frames or ()):
        for arrays in store.renditions.values():
            arrays.write(index, held)
    return store


@pytest.fixture(scope="session")
def make_store() -> Callable[..., LatentStore]:
    """``make_store(path, clips, frames, partition, dim=8, longest=None, labels=…, data=…, frontend=…)``.

    A store whose every rendition holds the same ``frames``, one [frame, dim] a clip.
    """
    return _make_store


@pytest.fixture(scope="session")
def read_whole() -> Callable[..., Tensor]:
    """``read_whole(store, clip)``: all frames of one clip, float32 [frame, dim]."""

    def read(store: LatentStore, clip: int, rendition: str = ORIGINAL) -> Tensor:
        length = int(store.lengths([clip], rendition)[0])
        return store.read([Segment(clip, rendition, 0, length)])[0]

    return read
