"""The sampling experiment: what it compares, what it refuses, and all of it at the smallest size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sonyc_tasks.tasks.task_folder import Task
from training.probes import heareval_jobs
from training.probes.heareval_jobs import Submission
from training.probes.rows import LOG_MEL, MULTIVIEW, UNTRAINED
from training.recipes import Recipe, recipe_named
from training.systems.sampling import experiment
from training.systems.sampling.experiment import Scale
from training.systems.sampling.report import MEASURES

CLIP: Recipe = replace(
    recipe_named("contrastive"),
    name="sampling_clip",
    model={"width": 16, "depth": 1, "temperature": 0.1},
    views="two_crops",
    validation="clips",
    examples_per_clip=1,
    crop=30,
)
ALL = replace(CLIP, name="sampling_all", learning_rate=1e-4, renditions=("original", "speed(1.1)"))
ROWS = [MULTIVIEW, LOG_MEL, UNTRAINED, "sampling_clip", "sampling_all"]


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'huge'.*small or full"):
        experiment.sampling(tmp_path, "huge")
    with pytest.raises(ValueError, match="0 seeds"):
        experiment.sampling(tmp_path, seeds=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", experiment.SCALES.values())
def test_every_scale_has_sensors_and_sounds_enough(size: Scale) -> None:
    assert sum(size.sensors.values()) <= size.data["sensors"]
    assert all(rounds >= 10 for rounds in size.rounds.values())


def test_rows_are_references_and_then_recipes(tmp_path: Path) -> None:
    given = experiment.submissions(tmp_path, [CLIP, ALL], seed=1)
    assert [submission.label for submission in given] == ROWS
    assert len({submission.folder for submission in given}) == len(given)
    assert given[2].model == tmp_path / "untrained" / "seed1.safetensors"
    assert given[0].model is None


def pretend_to_probe(folder: Path, recipes: Sequence[Recipe], seeds: int) -> None:
    """Scores as heareval writes them; an F-measure without any event found, here of every seed but 0, is NaN."""
    for seed in range(seeds):
        for place, given in enumerate(experiment.submissions(folder, recipes, seed)):
            for name in {measure.task for measure in MEASURES.values()}:
                task = Task(name, (), {}, "multiclass", (), 1.0)
                out = folder / f"seed{seed}" / "embeddings" / given.folder / task.folder_name
                out.mkdir(parents=True, exist_ok=True)
                scores = {f"test_{m.score}": place + seed / 10 for m in MEASURES.values() if m.task == name}
                if "test_event_onset_200ms_fms" in scores and seed:
                    scores["test_event_onset_200ms_fms"] = float("nan")
                (out / "test.predicted-scores.json").write_text(json.dumps({"test": scores}))


def test_scores_are_read_of_every_row_measure_and_seed(tmp_path: Path) -> None:
    pretend_to_probe(tmp_path, [CLIP], 2)
    found = experiment.read_scores(tmp_path, [CLIP], 2, MEASURES)
    assert list(found) == ROWS[:-1]
    assert found["sampling_clip"]["chroma"] == {0: 3.0, 1: 3.1}
    assert found[LOG_MEL]["sensor"] == {0: 1.0, 1: 1.1}
    assert found[UNTRAINED]["events"] == {0: 2.0, 1: 0.0}


TINY = Scale(
    data={"sensors": 4, "clips_per_sensor": 20, "seconds": 2.0, "seed": 1},
    sensors={"train": 1, "valid": 1, "probe": 2},
    rounds={"tags": 3, "events": 9, "pitch": 3},
    seeds=1,
    epochs=1,
)


@pytest.mark.slow
def test_all_but_the_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(experiment.SCALES, "small", TINY)
    embedded: list[Submission] = []
    trained = [replace(recipe, epochs=1) for recipe in (CLIP, ALL)]
    monkeypatch.setattr(heareval_jobs, "run_embeddings", lambda folder, given, frames: embedded.extend(given))
    monkeypatch.setattr(heareval_jobs, "run_predictions", lambda folder: pretend_to_probe(folder.parent, trained, 2))
    page = experiment.sampling(tmp_path, seeds=2, recipes=[CLIP, ALL], frontend="log_mel")
    assert [given.label for given in embedded] == 2 * ROWS
    assert all(given.model is None or given.model.exists() for given in embedded)
    assert "multi-view model (bundled)" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_whole_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(experiment.SCALES, "small", TINY)
    caplog.set_level("INFO", "training")
    page = experiment.sampling(tmp_path, recipes=[CLIP, ALL], frontend="log_mel")
    text = page.read_text(encoding="utf-8")
    assert text.count("<audio") == 3 * 3
    for row in ("log-mel statistics", "multi-view model (bundled)", "untrained encoder", "clip + frame + pitch"):
        assert row in caplog.text
        assert row in text
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json") if "tasks" not in path.parts}
    assert experiment.sampling(tmp_path, recipes=[CLIP, ALL], frontend="log_mel") == page
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(ValueError, match="recipes"):
        experiment.sampling(tmp_path, recipes=[CLIP], frontend="log_mel")
