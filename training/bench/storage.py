"""Benchmark of the latent store, compared with the disk and with the training step that overlaps reading."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.pretraining import step
from training.bench.row import Row


def storage_rows(
    folder: Path = Path(), clips: int = 128, frames: int = 862, dim: int = 1024, pairs: int = 16, repeats: int = 7
) -> list[Row]:
    """Measure reading a store: all of it, and the clips of one batch, from the disk and from memory.

    Args:
        folder: where to create the store; the disk of this folder is measured.
        clips: clips in the store.
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in a batch.
        repeats: number of measurements; the median is reported.

    Returns:
        Six rows: all clips in order, compared with reading the raw files; random clips of a batch, compared with a
        training step, and with zarr's way of reading them from the disk, from the system's cache, and from memory; and
        the memory that a store takes.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as name:
        write_store(Path(name), clips, frames, dim)
        given = {"folder": name, "pairs": pairs}
        found, zarrs, kept, grown, batch = measure_interleaved(
            [
                (reading, given),
                (reading, {**given, "through_zarr": True}),
                (from_memory, given),
                (from_memory, {**given, "fresh": True}),
                (step, {"frames": frames, "dim": dim, "pairs": pairs, "device": "cpu"}),
            ],
            repeats,
        )
    share, size = found["files"] / found["sequential"], 2 * clips * frames * dim
    what = f"latent store, {2 * pairs} random clips"
    return [
        Row(
            "latent store, all clips in order",
            "",
            f"{size / found['sequential'] / 1e9:.2f} GB/s",
            None,
            f"{size / found['files'] / 1e9:.2f} GB/s (its files)",
            share,
            "at least 80 % of the limit",
            share >= 0.8,
        ),
        Row(
            what,
            "",
            f"{1000 * found['random']:.0f} ms",
            None,
            f"{1000 * batch['seconds']:.0f} ms (the concurrent training step)",
            None,
            "less than a step",
            found["random"] < batch["seconds"],
        ),
        _faster(f"{what}, from the disk", zarrs["random"], found["random"], "zarr", 5, 0.033),
        _faster(f"{what}, from the system's cache", zarrs["cached"], found["cached"], "zarr", 5, 0.033),
        _faster(f"{what}, from memory", grown["seconds"], kept["seconds"], "new memory for each batch", 3),
        Row(
            f"memory of a store of {clips} clips",
            "",
            f"{kept['bytes'] / 1e6:.0f} MB",
            None,
            f"{size / 1e6:.0f} MB (its files)",
            None,
            "at most 10 % more than its files",
            kept["bytes"] <= 1.1 * size,
        ),
    ]


def _faster(what: str, before: float, after: float, how: str, times: float, most: float | None = None) -> Row:
    """A row of seconds, compared with those of another way ``how``: it ought to be so many times as fast, or to take
    ``most`` seconds at most."""
    ratio = before / after
    target = f"at least {times:g} x" + (f", at most {1000 * most:.0f} ms" if most else "")
    met = ratio >= times and (most is None or after <= most)
    return Row(what, f"{1000 * before:.0f} ms ({how})", f"{1000 * after:.1f} ms", ratio, "", None, target, met)


def write_store(folder: Path, clips: int, frames: int, dim: int) -> None:
    """Write a latent store of noise into ``folder``, which is on the disk when this returns."""
    from training.data.records import ORIGINAL, Clip, Description, Partition
    from training.data.store import LatentStore

    path = folder / "store"
    frontend = {"name": "noise", "sha256": "", "dim": dim, "hop": 512, "sample_rate": 44_100, "precision": "fp32"}
    about = Description([Clip(f"{k}", 0) for k in range(clips)], frontend, Partition((0,)), data="noise")
    written = LatentStore.create(path, about, frames).renditions[ORIGINAL]
    rng = np.random.default_rng(0)
    for index in range(clips):
        written.write(index, rng.standard_normal((frames, dim), np.float32))
    for file in _files(path):
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def reading(folder: str, pairs: int, through_zarr: bool = False) -> Repeat:
    """Prepare measuring ways of reading the store that `write_store` wrote.

    Args:
        folder: where the store is.
        pairs: pairs of clips in a batch.
        through_zarr: read as version 0.4 did: each clip by zarr, one after another, and compared with its checksum.

    Returns:
        A `Repeat` giving the seconds for the raw files, for all clips in order ("sequential"), for a batch of random
        clips ("random"), all from the disk, and for the same batch again, from the system's cache ("cached").
    """
    from training.data.arrays import checksum
    from training.data.records import ORIGINAL, Segment
    from training.data.store import LatentStore
    from training.engine.malloc import tune_malloc

    tune_malloc()  # as in training
    path = Path(folder) / "store"
    store = LatentStore(path, in_memory=0)
    clips, frames, dim = store.renditions[ORIGINAL].shape
    array, sums = (zarr.open_array(store=f"{path}/{name}", mode="r") for name in ("frames", "checksum"))
    files, wanted, rng = _files(path), np.asarray(sums[:]), np.random.default_rng(0)

    def by_zarr(chosen: list[int]) -> torch.Tensor:
        out = torch.empty(len(chosen), frames, dim)
        for row, clip in enumerate(chosen):
            half = np.asarray(array[clip])
            assert checksum(half) == wanted[clip]
            out[row] = torch.from_numpy(half)
        return out

    def by_us(chosen: list[int]) -> torch.Tensor:
        return store.read([Segment(clip, ORIGINAL, 0, frames) for clip in chosen])

    read = by_zarr if through_zarr else by_us

    def in_order() -> None:
        for first in range(0, clips, 2 * pairs):
            read(list(range(first, min(first + 2 * pairs, clips))))

    def repeat() -> dict[str, Any]:
        took = {}
        chosen = rng.permutation(clips)[: 2 * pairs].tolist()
        for name, run, cold in (
            ("files", lambda: [file.read_bytes() for file in files], True),
            ("sequential", in_order, True),
            ("random", lambda: read(chosen), True),
            ("cached", lambda: read(chosen), False),
        ):
            for file in files if cold else ():
                _forget(file)
            start = time.perf_counter()
            run()
            took[name] = time.perf_counter() - start
        return took

    return repeat


def from_memory(folder: str, pairs: int, fresh: bool = False) -> Repeat:
    """Prepare measuring batches of a store in memory, made in a thread as in training.

    Args:
        folder: where the store is.
        pairs: pairs of clips in a batch.
        fresh: put each batch into new memory, as version 0.4 did.

    Returns:
        A `Repeat` giving the seconds for a batch, the median of ten, and by how many bytes the process grew when it
        read the store.
    """
    from training.data.prefetch import prefetch
    from training.data.records import ORIGINAL, Segment
    from training.data.store import LatentStore

    store = LatentStore(Path(folder) / "store")
    arrays = store.renditions[ORIGINAL]
    clips, frames, _ = arrays.shape
    before = _most_memory()
    arrays.load(arrays.nbytes)
    grown = _most_memory() - before
    rng = np.random.default_rng(0)

    def batches() -> Iterator[float]:
        for _ in range(10):
            chosen = rng.permutation(clips)[: 2 * pairs].tolist()
            start = time.perf_counter()
            if fresh:
                x = torch.empty(len(chosen), *arrays.shape[1:])
                for row, half in enumerate(arrays.read(chosen, [0] * len(chosen), [frames] * len(chosen))):
                    x[row] = torch.from_numpy(half)
            else:
                x = store.read([Segment(clip, ORIGINAL, 0, frames) for clip in chosen])
            yield time.perf_counter() - start

    return lambda: {"seconds": statistics.median(prefetch(batches())), "bytes": grown}


def _most_memory() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _files(path: Path) -> list[Path]:
    """Every file of the store's frames."""
    return sorted(file for file in (path / "frames").rglob("*") if file.is_file())


def _forget(file: Path) -> None:
    """Have the operating system drop ``file`` from its page cache, if it supports that."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
