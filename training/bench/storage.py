"""Benchmark of the latent store, compared with the disk and with the training step that overlaps reading."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.pretraining import step
from training.bench.row import Row


def storage_rows(
    folder: Path = Path(), clips: int = 128, frames: int = 862, dim: int = 1024, pairs: int = 16, repeats: int = 7
) -> list[Row]:
    """Measure reading a store that is not in memory: all of it, and the clips of one batch.

    Args:
        folder: where to create the store; the disk of this folder is measured.
        clips: clips in the store.
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in a batch.
        repeats: number of measurements; the median is reported.

    Returns:
        Two rows: reading all clips in order, compared with reading the raw files; and reading the random clips of a
        batch, compared with a training step.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as name:
        store, batch = measure_interleaved(
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
            "latent store, all clips in order",
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
            f"{1000 * batch['seconds']:.0f} ms (the concurrent training step)",
            None,
            "less than a step",
            store["random"] < batch["seconds"],
        ),
    ]


def reading(folder: str, clips: int, frames: int, dim: int, pairs: int) -> Repeat:
    """Write a store and prepare measuring three ways of reading it from the disk.

    Args:
        folder: where to write the store.
        clips: clips in the store.
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in a batch.

    Returns:
        A `Repeat` giving the seconds for the raw files, for all clips in order ("sequential"), and for a batch of
        random clips ("random").
    """
    from training.data.records import ORIGINAL, Clip, Description, Partition, Segment
    from training.data.store import LatentStore

    path = Path(folder) / "store"
    frontend = {"name": "noise", "sha256": "", "dim": dim, "hop": 512, "sample_rate": 44_100, "precision": "fp32"}
    about = Description([Clip(f"{k}", 0) for k in range(clips)], frontend, Partition((0,)), data="noise")
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
    """Have the operating system drop ``file`` from its page cache, if it supports that."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
