"""The latent store, beside the disk it lies on and the step of training that waits for it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from training.bench.pretraining import step
from training.bench.row import Row
from training.bench.turns import Repeat, by_turns


def storage_rows(
    folder: Path = Path(), clips: int = 128, frames: int = 862, dim: int = 1024, pairs: int = 16, repeats: int = 7
) -> list[Row]:
    """Two rows, for a store of ``clips`` of [frames, dim] on the disk of ``folder``, none of it in memory: reading it
    from end to end beside reading its files, and the clips of a batch of ``pairs`` beside a step of training."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as name:
        store, batch = by_turns(
            [
                (reading, {"folder": name, "clips": clips, "frames": frames, "dim": dim, "pairs": pairs}),
                (step, {"frames": frames, "dim": dim, "pairs": pairs, "device": "cpu"}),
            ],
            repeats,
        )
    share = store["files"] / store["sequential"]
    size = 2 * clips * frames * dim
    return [
        Row(
            "latent store, from end to end",
            "",
            f"{size / store['sequential'] / 1e9:.2f} GB/s",
            None,
            f"{size / store['files'] / 1e9:.2f} GB/s (its files)",
            share,
            "at least 80 % of the limit",
            share >= 0.8,
        ),
        Row(
            f"latent store, {2 * pairs} random clips",
            "",
            f"{1000 * store['random']:.0f} ms",
            None,
            f"{1000 * batch['seconds']:.0f} ms (the step that goes on meanwhile)",
            None,
            "less than a step",
            store["random"] < batch["seconds"],
        ),
    ]


def reading(folder: str, clips: int, frames: int, dim: int, pairs: int) -> Repeat:
    """A store written to ``folder``, then read from the disk in three ways: its files, all clips in order, a batch."""
    from training.data.records import ORIGINAL, Clip, Description, Partition, Segment
    from training.data.store import LatentStore

    path = Path(folder) / "store"
    about = Description([Clip(f"{k}", 0) for k in range(clips)], {"dim": dim}, Partition((0,)), data="noise")
    written = LatentStore.create(path, about, frames).renditions[ORIGINAL]
    rng = np.random.default_rng(0)
    for index in range(clips):
        written.write(index, rng.standard_normal((frames, dim), np.float32))
    store = LatentStore(path, in_memory=0)
    array = zarr.open_array(store=f"{path}/frames", mode="r")
    files = sorted(file for file in (path / "frames").rglob("*") if file.is_file())
    for file in files:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())

    def repeat() -> dict[str, Any]:
        took = {}
        chosen = rng.permutation(clips)[: 2 * pairs].tolist()
        for name, read in (
            ("files", lambda: [file.read_bytes() for file in files]),
            ("sequential", lambda: [array[index] for index in range(clips)]),
            ("random", lambda: store.read([Segment(clip, ORIGINAL, 0, frames) for clip in chosen])),
        ):
            for file in files:
                _forget(file)
            start = time.perf_counter()
            read()
            took[name] = time.perf_counter() - start
        return took

    return repeat


def _forget(file: Path) -> None:
    """Have the operating system drop what it holds of ``file`` in memory, where it can be asked to."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
