"""Runs side by side: the same results as one after the other, none repeated; a failing one stops them with words."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.records import Clip, Partition
from training.data.store import LatentStore
from training.engine.pool import PER_WORKER, epochs_done, run_jobs, together
from training.engine.pretrain import pretrain, run_folder
from training.recipes import recipe_named

MASKED = recipe_named("multiview_mask_0.4")
MODEL = {"width": 16, "depth": 1}
TINY = replace(MASKED, name="tiny", model={**MODEL, "mask": 0.4}, epochs=2, batch_size=8, crop=6)
OTHER = replace(TINY, name="other", model=MODEL)


@pytest.fixture
def store(tmp_path: Path, make_store: Callable[..., LatentStore]) -> LatentStore:
    """12 clips of 2 sensors, 8 frames of noise each."""
    clips = [Clip(f"{sensor:02d}_{k:06d}.wav", sensor) for sensor in range(2) for k in range(6)]
    frames = [np.random.default_rng(index).normal(size=(8, 8)) for index in range(12)]
    return make_store(tmp_path / "store", clips, frames, Partition((0,), (1,)))


@pytest.mark.usefixtures("one_thread")
def test_side_by_side_is_as_one_after_the_other(store: LatentStore, tmp_path: Path) -> None:
    jobs = [(recipe, seed) for recipe in (TINY, OTHER) for seed in (0, 1)]
    looks: list[float | None] = []
    before = dict(os.environ)
    run_jobs(jobs, store.path, tmp_path / "pool", workers=2, on_progress=looks.append)
    assert dict(os.environ) == before
    for recipe, seed in jobs:
        alone = pretrain(recipe, store, tmp_path / "alone", seed=seed).checkpoint
        together = run_folder(tmp_path / "pool", recipe, seed) / "checkpoint.safetensors"
        assert together.read_bytes() == alone.read_bytes()
        assert epochs_done(together.parent) == 2
    assert looks
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").rglob("*.*")}
    run_jobs(jobs, store.path, tmp_path / "pool", workers=1)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pool").rglob("*.*")} == stamps


def test_a_failing_run_says_why(store: LatentStore, tmp_path: Path) -> None:
    wild = replace(TINY, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"tiny .*epoch \d"):
        run_jobs([(wild, 0)], store.path, tmp_path / "runs", workers=1)


def test_a_folder_without_a_run_has_no_epochs(tmp_path: Path) -> None:
    assert epochs_done(tmp_path / "nowhere") == 0


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_job_is_in_one_group_of_its_seed_and_batches(workers: int) -> None:
    others = replace(TINY, name="another crop", crop=5)
    jobs = [(recipe, seed) for seed in range(5) for recipe in (TINY, OTHER, others, *(MASKED,) * 4)]
    groups = together(jobs, workers)
    assert sorted((recipe.name, seed) for recipes, seed in groups for recipe in recipes) == sorted(
        (recipe.name, seed) for recipe, seed in jobs
    )
    for recipes, _ in groups:
        assert len({(recipe.crop, recipe.epochs) for recipe in recipes}) == 1
    sizes = [len(recipes) for recipes, _ in groups]
    assert sizes == sorted(sizes, reverse=True)
    if workers == 1:
        assert len(groups) == 15
    else:
        assert max(sizes) * PER_WORKER * workers <= len(jobs)
