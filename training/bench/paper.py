"""Benchmark of what a whole paper is made of: runs that share their batches, and the start of heareval's processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.row import Row

#: Recipes that are trained, all with the same batches.
RECIPES = ("multiview_rec", "multiview_cosine_private_sample", "single_view", "contrastive")


def paper_rows(clips: int = 48, frames: int = 862, dim: int = 1024, width: int = 256, repeats: int = 3) -> list[Row]:
    """Measure an epoch of `RECIPES` from a store on the disk, together and one after another, and heareval's start.

    Args:
        clips: clips in the store, of 4 groups.
        frames: frames per clip.
        dim: dimensions per frame.
        width: of the models' layers.
        repeats: number of measurements; the median is reported.

    Returns:
        Two rows.
    """
    with tempfile.TemporaryDirectory() as name:
        write_groups(Path(name), clips, frames, dim)
        given = {"folder": name, "width": width}
        alone, together = measure_interleaved([(training, given), (training, {**given, "together": True})], repeats)
    with_it, without = measure_interleaved([(starting, {}), (starting, {"tensorflow": False})], repeats)
    ratio, start = alone["seconds"] / together["seconds"], with_it["seconds"] / without["seconds"]
    return [
        Row(
            f"an epoch of {len(RECIPES)} recipes on the same {clips} clips of {frames} x {dim}",
            f"{alone['seconds']:.2f} s (one after another)",
            f"{together['seconds']:.2f} s (together)",
            ratio,
            "",
            None,
            "at least 1.1 x",
            ratio >= 1.1,
        ),
        Row(
            "start of a process that embeds with heareval",
            f"{with_it['seconds']:.2f} s (with TensorFlow)",
            f"{without['seconds']:.2f} s",
            start,
            "",
            None,
            "at least 1.5 x",
            start >= 1.5,
        ),
    ]


def write_groups(folder: Path, clips: int, frames: int, dim: int) -> None:
    """Write a latent store of noise into ``folder``, of three groups that train and one that validates."""
    from training.data.records import ORIGINAL, Clip, Description, Partition
    from training.data.store import LatentStore

    frontend = {"name": "noise", "sha256": "", "dim": dim, "hop": 512, "sample_rate": 44_100, "precision": "fp32"}
    about = Description([Clip(f"{k}", k % 4) for k in range(clips)], frontend, Partition((0, 1, 2), (3,)), data="noise")
    written = LatentStore.create(folder / "store", about, frames).renditions[ORIGINAL]
    rng = np.random.default_rng(0)
    for index in range(clips):
        written.write(index, rng.standard_normal((frames, dim), np.float32))


def training(folder: str, width: int, together: bool = False) -> Repeat:
    """Prepare measuring an epoch of `RECIPES` on the store that `write_groups` wrote.

    Args:
        folder: where the store is.
        width: of the models' layers.
        together: read every batch once for all recipes.

    Returns:
        A `Repeat` giving the seconds.
    """
    from training.data.store import LatentStore
    from training.engine.pretrain import pretrain, pretrain_together
    from training.recipes import recipe_named

    recipes = [
        replace(recipe, model={**recipe.model, "width": width}, epochs=1, crop=128, examples_per_clip=1)
        for recipe in map(recipe_named, RECIPES)
    ]

    def repeat() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=folder) as runs:
            start = time.perf_counter()
            if together:
                pretrain_together(recipes, LatentStore(Path(folder) / "store", in_memory=0), Path(runs))
            else:
                for recipe in recipes:
                    pretrain(recipe, LatentStore(Path(folder) / "store", in_memory=0), Path(runs))
            return {"seconds": time.perf_counter() - start}

    return repeat


def starting(tensorflow: bool = True) -> Repeat:
    """Prepare measuring how long a process takes until heareval is imported, with TensorFlow or without it.

    Returns:
        A `Repeat` giving the seconds.
    """
    from sonyc_tasks.heareval import NO_TENSORFLOW

    environment = {**os.environ, NO_TENSORFLOW: "0" if tensorflow else "1"}
    command = [sys.executable, "-W", "ignore", "-m", "sonyc_tasks.heareval", "embeddings", "--help"]

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return {"seconds": time.perf_counter() - start}

    return repeat
