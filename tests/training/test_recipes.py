"""One contract for every recipe: valid, hashable by what matters, and trainable on a few clips."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hear_multiview.checkpoint
from hear_multiview.encoders.mlp import VIEWS
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.dataset.taxonomy import COARSE
from training.data.store import LatentStore, StoredClip
from training.engine.pretrain import pretrain
from training.recipes import MUSIC_ABLATION, RECIPES, Recipe, recipe_named


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_trains_and_its_checkpoint_gives_an_encoder(name: str, tmp_path: Path) -> None:
    frontend = {"name": "demo", "sha256": "0" * 64, "dim": 8, "hop": 512, "sample_rate": 44_100}
    clips = [
        StoredClip(f"{sensor:02d}_{k:06d}.wav", sensor, COARSE[k : k + 1]) for sensor in range(2) for k in range(4)
    ]
    store = LatentStore.create(tmp_path / "s", clips, frontend, 5, SensorSplit((0,), (1,), ()), "")
    for index in range(len(clips)):
        store.write(index, np.random.default_rng(index).normal(size=(5, 8)))
    run = pretrain(replace(RECIPES[name], epochs=1, width=16), store, tmp_path / "runs")
    assert np.isfinite(run.history[0]["valid"]["total"])
    saved = hear_multiview.checkpoint.load(run.checkpoint)
    assert len(saved.encoder().mean) == 8
    whole = name.startswith(("multiview", "bundled", "demo", "music"))
    assert saved.card["views"] == list(VIEWS if whole else ("joint", "frontend"))


def test_names_and_digests_are_unique() -> None:
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    assert len({recipe.digest for recipe in RECIPES.values()}) == len(RECIPES)


def test_fields_that_came_later_leave_the_digests_of_older_recipes_alone() -> None:
    """Finished runs are found by these."""
    digests = {name: RECIPES[name].digest for name in ("multiview_rec", "single_view", "supervised_sensor", "demo")}
    assert digests == {
        "multiview_rec": "3649df52",
        "single_view": "62438186",
        "supervised_sensor": "e028a734",
        "demo": "e6312a82",
    }
    assert replace(RECIPES["multiview_rec"], latent=8).digest != digests["multiview_rec"]
    assert Recipe(**RECIPES["music"].as_dict()) == RECIPES["music"]  # type: ignore[arg-type]


def test_the_music_ablation_changes_one_weight_at_a_time() -> None:
    for term, rows in MUSIC_ABLATION.items():
        assert [recipe.objectives[term] for recipe in rows] == [0.0, 0.1, 0.5, 1.0]
        for recipe in rows:
            assert {**recipe.objectives, term: 0} == {**RECIPES["music"].objectives, term: 0}
            assert recipe is RECIPES[recipe.name]


def test_recipes_are_frozen_through_and_through() -> None:
    recipe = RECIPES["multiview_rec"]
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        recipe.objectives["reconstruction"] = 2  # type: ignore[index]


def test_unknown_recipes_and_impossible_ones() -> None:
    with pytest.raises(ValueError, match="unknown recipe 'x': choose one of multiview_rec, multiview_cosine"):
        recipe_named("x")
    with pytest.raises(ValueError, match=r"recipe r: mask 1\.0 is no share of entries"):
        Recipe("r", {"reconstruction": 1.0}, mask=1.0)
    with pytest.raises(ValueError, match="recipe r: a sensor that does not train has no class"):
        Recipe("r", {"sensor_entropy": 1.0}, method="supervised")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": {"magic": 1.0}}, "recipe r: unknown objective 'magic': choose of reconstruction"),
        ({"method": "magic"}, "recipe r: unknown method 'magic': choose of multiview, single_view"),
        ({"views": "magic"}, "recipe r: unknown views 'magic': choose of same_sensor"),
    ],
)
def test_a_name_in_no_registry_ends_a_run_before_it_begins(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    frontend = {"name": "demo", "sha256": "0" * 64, "dim": 8, "hop": 512, "sample_rate": 44_100}
    store = LatentStore.create(tmp_path / "s", [], frontend, 5, SensorSplit((0,), (1,), ()), "")
    recipe = Recipe(**{"name": "r", "objectives": {"reconstruction": 1.0}, **change})
    with pytest.raises(ValueError, match=message):
        pretrain(recipe, store, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_names_what_there_is(name: str) -> None:
    RECIPES[name].check_names()
