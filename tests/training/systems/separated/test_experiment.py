"""The separated experiment: what it compares, what it refuses, and all of it at the smallest size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hear_multiview
from training.probes.rows import submissions
from training.recipes import Recipe, recipe_named
from training.systems.separated import experiment
from training.systems.separated import training as separator_training
from training.systems.separated.experiment import Scale
from training.systems.separated.recipes import CHANNELS, RECIPES, STATES
from training.systems.separated.training import SeparatorConfig

SMALL = {"channels": [4, 4, 4, 8], "strides": [2, 2, 2, 1], "latent": 16, "projection": 16, "width": 16}
MIXTURE, LATE = (replace(recipe_named(f"separated_{name}"), model=SMALL) for name in ("mixture", "late"))
TINY = Scale(
    data={"sensors": 4, "clips_per_sensor": 20, "seconds": 1.5, "seed": 1},
    sensors={"train": 1, "valid": 1, "probe": 2},
    rounds=3,
    separator=SeparatorConfig(
        steps=16,
        takes=1,
        batch=2,
        seconds=0.25,
        network={"n_fft": 256, "channels": [4, 6], "width": 16, "stacks": 1, "layers": 2},
    ),
    judged=4,
    seeds=1,
    epochs=1,
)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'huge'.*small or full"):
        experiment.separated(tmp_path, "huge")
    with pytest.raises(ValueError, match="0 seeds"):
        experiment.separated(tmp_path, seeds=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", experiment.SCALES.values())
def test_every_scale_has_sensors_and_scenes_enough(size: Scale) -> None:
    assert sum(size.sensors.values()) <= size.data["sensors"]
    assert size.rounds >= 10
    assert size.separator.network.get("sources", CHANNELS) == CHANNELS


def test_recipes_differ_from_the_first_in_what_they_are_about() -> None:
    first, *others = RECIPES.values()
    for recipe in others:
        if recipe.method == "separated":
            assert (
                replace(first, **{k: getattr(recipe, k) for k in ("name", "objectives", "views", "renditions")})
                == recipe
            )
    for k, state in enumerate(STATES):
        made = RECIPES[f"separated_{state}"].renditions
        assert set(made) == {"original", *(f"separated({k},{channel})" for channel in range(CHANNELS))}
    assert set(RECIPES["separated_all"].renditions) == {
        name for state in STATES for name in RECIPES[f"separated_{state}"].renditions
    }


def test_rows_are_references_recipes_and_halves(tmp_path: Path) -> None:
    given = submissions(tmp_path, [MIXTURE, recipe_named("separated_multiview")], seed=1)
    assert [submission.label for submission in given] == [
        "multiview",
        "log_mel",
        "untrained",
        "separated_mixture",
        "separated_multiview",
        "separated_multiview_private",
        "separated_multiview_shared",
    ]
    assert len({submission.folder for submission in given}) == len(given)


@pytest.mark.slow
def test_the_whole_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(experiment.SCALES, "small", TINY)
    monkeypatch.setattr(separator_training, "HELD_OUT_TAKES", 1)
    monkeypatch.setattr(separator_training, "VALIDATION", 2)
    monkeypatch.setattr(experiment, "JUDGED_TAKES", 1)
    caplog.set_level("INFO", "training")
    recipes: list[Recipe] = [MIXTURE, LATE]
    page = experiment.separated(tmp_path, recipes=recipes)
    text = page.read_text(encoding="utf-8")
    assert text.count("<audio") >= 2 * (1 + 3)
    for row in ("log-mel statistics", "untrained encoder", "mixture and mixture", "mixture and channel, late", "early"):
        assert row in caplog.text
        assert row in text
    (checkpoint,) = tmp_path.glob("small/runs/separated_late-*/checkpoint.safetensors")
    model = hear_multiview.load_model(checkpoint)
    embedding = hear_multiview.get_scene_embeddings(torch.full((1, 16_000), 0.1), model)
    assert embedding.shape == (1, 16)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert experiment.separated(tmp_path, recipes=recipes) == page
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(ValueError, match="recipes"):
        experiment.separated(tmp_path, recipes=[MIXTURE])
