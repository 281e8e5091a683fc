"""The generated sounds as HEAR tasks that are valid, with every class in every set, and sets that a seed draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sonyc_tasks.tasks.task_folder import Task
from sonyc_tasks.tasks.validate.task import validate_task
from training.probes import generated_sounds as sounds
from training.probes import generated_tasks as tasks
from training.probes.generated_sounds import KINDS, Labels


def placeholders(kind: str, rounds: int) -> dict[str, Labels]:
    """Labels without audio: each clip has its own class."""
    classes = KINDS[kind].classes
    return {f"{k:04d}.wav": [classes[k % len(classes)]] for k in range(rounds * len(classes))}


def kind_of(folder: Path) -> str:
    return folder.name.split("-")[0].removeprefix("mine_")


@pytest.mark.parametrize("kind", ["tags", "pitch"])
def test_every_set_has_every_class_and_no_clip_is_in_two(kind: str) -> None:
    task = tasks.task("mine", kind, placeholders(kind, 10), seed=0)
    classes = len(KINDS[kind].classes)
    assert {name: len(own) for name, own in task.splits.items()} == {
        "train": 4 * classes,
        "valid": 2 * classes,
        "test": 4 * classes,
    }
    assert len({clip for own in task.splits.values() for clip in own}) == 10 * classes
    for own in task.splits.values():
        assert {label for labels in own.values() for label in labels} == set(task.vocabulary)


def test_a_seed_draws_the_sets() -> None:
    def test_set(seed: int) -> Task:
        return tasks.task("mine", "pitch", placeholders("pitch", 10), seed)

    assert test_set(1).splits == test_set(1).splits
    assert test_set(1).splits["test"].keys() != test_set(2).splits["test"].keys()


def test_three_sets_need_three_rounds() -> None:
    with pytest.raises(ValueError, match="2 rounds of pitch"):
        tasks.task("mine", "pitch", placeholders("pitch", 2), 0)


def test_the_folders_are_valid_and_have_their_probe(tmp_path: Path) -> None:
    made = {kind: (tmp_path / kind, sounds.generate(tmp_path / kind, kind, 3)) for kind in KINDS}
    tasks.write_tasks("mine", made, tmp_path / "tasks", [16_000], seed=0)
    folders = sorted((tmp_path / "tasks").iterdir())
    assert [folder.name for folder in folders] == [
        "mine_events-v1-full",
        "mine_pitch-v1-full",
        "mine_tags-v1-full",
    ]
    for folder in folders:
        assert validate_task(folder) == []
        metadata = json.loads((folder / "task_metadata.json").read_text())
        assert metadata["evaluation_params"]["task_specific_param_grid"] == tasks.GRIDS[kind_of(folder)]
        scores = {
            measure.score for measure in tasks.measures("mine", KINDS).values() if measure.task == metadata["task_name"]
        }
        assert scores <= set(metadata["evaluation"])
    assert json.loads((folders[0] / "task_metadata.json").read_text())["embedding_type"] == "event"
    vocabulary = (folders[1] / "labelvocabulary.csv").read_text().splitlines()[1:]
    assert vocabulary == [f"{k},{48 + k}" for k in range(24)]
