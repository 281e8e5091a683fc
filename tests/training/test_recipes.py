"""One contract for every recipe of every system: valid, hashable by what matters, and trainable on a few clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hear_multiview.checkpoint
from training.data.records import Clip, Partition
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.methods import Method
from training.recipes import Recipe, recipe_named, recipes
from training.registry import entry, registered
from training.systems.music.recipes import ABLATION, MUSIC

Make = Callable[..., LatentStore]
PLAIN = Recipe("r", "multiview", {"reconstruction": 1.0})


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_trains_and_its_checkpoint_gives_an_encoder(name: str, tmp_path: Path, make_store: Make) -> None:
    recipe = recipe_named(name)
    clips = [
        Clip(f"{group}{k}.wav", group, {"source": ("dog", "music")[k % 2 :], "frequency": (f"f{k}",)})
        for group in range(2)
        for k in range(4)
    ]
    frames = [np.random.default_rng(index).normal(size=(5, 8)) for index in range(8)]
    labels = {"source": ("dog", "music"), "frequency": tuple(f"f{k}" for k in range(4))}
    about = {"labels": labels, "renditions": recipe.renditions}
    store = make_store(tmp_path / "s", clips, frames, Partition((0,), (1,)), **about)
    small = {key: value for key, value in {"width": 16, "latent": 16, "projection": 16}.items() if key in recipe.model}
    run = pretrain(replace(recipe, epochs=1, model={**recipe.model, **small}), store, tmp_path / "runs")
    assert np.isfinite(run.history[0]["valid"]["total"])
    saved = hear_multiview.checkpoint.load(run.checkpoint)
    assert len(saved.encoder().mean) == 8
    method: Method = entry("methods", recipe.method)
    assert saved.card["views"] == method.views(saved.encoder().parts)


def test_names_and_digests_are_unique() -> None:
    assert all(name == recipe.name for name, recipe in recipes().items())
    assert len({recipe.digest for recipe in recipes().values()}) == len(recipes())


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_recipe_survives_json(name: str) -> None:
    again = Recipe(**recipe_named(name).as_dict())
    assert again == recipe_named(name)
    assert again.digest == recipe_named(name).digest


@pytest.mark.parametrize(
    "change",
    [
        {"objectives": {"reconstruction": 0.5}},
        {"model": {"width": 8}},
        {"augmentations": {"noise": 0.1}},
        {"renditions": ("original", "speed(2)")},
        {"crop": 3},
        {"validation": "clips"},
    ],
)
def test_the_digest_changes_with_all_that_matters(change: dict[str, Any]) -> None:
    assert replace(PLAIN, **change).digest != PLAIN.digest


def test_the_music_ablation_changes_one_weight_at_a_time() -> None:
    for term, rows in ABLATION.items():
        assert [recipe.objectives[term] for recipe in rows] == [0.0, 0.1, 0.5, 1.0]
        for recipe in rows:
            assert {**recipe.objectives, term: 0} == {**MUSIC.objectives, term: 0}
            assert recipe is recipe_named(recipe.name)


def test_recipes_are_frozen_through_and_through() -> None:
    recipe = recipe_named("multiview_rec")
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 3  # type: ignore[misc]
    for mapping in (recipe.objectives, recipe.model, recipe.augmentations):
        with pytest.raises(TypeError):
            mapping["reconstruction"] = 2  # type: ignore[index]


def test_unknown_recipes_and_impossible_ones() -> None:
    with pytest.raises(ValueError, match=r"'x'.*multiview_rec, multiview_cosine"):
        recipe_named("x")
    with pytest.raises(ValueError, match=r"r .*'sensors'.*groups or clips"):
        replace(PLAIN, validation="sensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop", 0),
        ("crop", 4.5),
        ("batch_size", 0),
        ("epochs", -1),
        ("examples_per_clip", 0),
        ("learning_rate", float("nan")),
        ("objectives", {"reconstruction": float("nan")}),
        ("objectives", {"reconstruction": "1"}),
        ("objectives", {}),
        ("augmentations", {"noise": float("inf")}),
        ("renditions", ("speed(2)",)),
        ("renditions", "original"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"recipe r .*{next(iter(value), name) if isinstance(value, dict) else name}"):
        replace(PLAIN, **{name: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": {"widht": 8}}, "widht"),
        ({"model": {"width": -1}}, "'width': -1"),
        ({"model": {"width": 0}}, "'width': 0"),
        ({"objectives": {"info_nce": 1.0}}, "objective.*multiview"),
        ({"method": "supervised", "objectives": {"source_cross_entropy": 1.0}}, "'source'"),
        ({"views": "same_timbre"}, "'frequency'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_parts_that_do_not_go_together_are_named(
    change: dict[str, Any], named: str, tmp_path: Path, make_store: Make
) -> None:
    clips = [Clip(f"{k}.wav", k % 2) for k in range(8)]
    store = make_store(tmp_path / "s", clips, [np.ones((5, 8))] * 8, Partition((0,), (1,)))
    with pytest.raises(ValueError, match=named):
        pretrain(replace(PLAIN, **{"model": {"width": 8}, **change}), store, tmp_path / "runs")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"objectives": {"magic": 1.0}}, "objectives 'magic'.*reconstruction"),
        ({"method": "magic"}, "methods 'magic'.*multiview, single_view"),
        ({"views": "magic"}, "views 'magic'.*same_group"),
        ({"augmentations": {"magic": 1.0}}, "augmentations 'magic'.*noise"),
    ],
)
def test_a_name_in_no_registry_ends_a_run_before_it_begins(
    change: dict[str, Any], named: str, tmp_path: Path, make_store: Make
) -> None:
    store = make_store(tmp_path / "s", [], [], Partition((0,), (1,)))
    with pytest.raises(ValueError, match=f"recipe r.*{named}"):
        pretrain(replace(PLAIN, **change), store, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_recipe_names_what_there_is(name: str) -> None:
    recipe_named(name).check_names()


@pytest.mark.parametrize(
    "kind", ["recipes", "methods", "objectives", "views", "renditions", "augmentations", "command"]
)
def test_every_kind_has_entries(kind: str) -> None:
    assert registered(kind)
