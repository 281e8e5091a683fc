"""Task folders whose metadata, vocabulary or splits are not what heareval needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.tasks.validate.task import EVENT_SCORES, SCENE_SCORES, errors_of, validate_task

Task = Callable[..., Path]
Only = Callable[..., None]


def test_a_sound_task_has_no_findings(task: Task) -> None:
    assert validate_task(task()) == []


def test_a_missing_folder(tmp_path: Path) -> None:
    (finding,) = validate_task(tmp_path / "x")
    assert finding.startswith(f"{tmp_path / 'x'}: ")


def test_score_names_are_those_of_heareval() -> None:
    found = find_spec("heareval")
    if found is None or not found.submodule_search_locations:
        pytest.skip("heareval is not installed")
    source = (Path(found.submodule_search_locations[0]) / "score.py").read_text()
    table = source[source.index("available_scores") :]
    assert set(re.findall(r'^    "(\w+)":', table, re.MULTILINE)) == {*SCENE_SCORES, *EVENT_SCORES}


# ---------------------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"embedding_type": "clip"}, 3, ["embedding_type", "'clip'", "scene, event"]),
        ({"prediction_type": "x"}, 4, ["prediction_type", "'x'", "multilabel, multiclass"]),
        ({"split_mode": "kfold"}, 5, ["split_mode", "'kfold'", "trainvaltest, presplit_kfold, new_split_kfold"]),
        ({"splits": ["train", "test"]}, 6, ["splits", "['train', 'test']", "trainvaltest", "train, valid and test"]),
        ({"splits": "train"}, 6, ["splits", "'train'"]),
        ({"splits": ["test"] * 3}, 6, ["splits", "['test', 'test', 'test']"]),
        ({"split_mode": "new_split_kfold", "splits": ["fold00", "fold01"]}, 6, ["splits", "2 folds", "3"]),
        ({"sample_duration": 0}, 11, ["sample_duration", "0"]),
        ({"sample_duration": "10"}, 11, ["sample_duration", "'10'"]),
        ({"evaluation": []}, 12, ["evaluation", "[]"]),
        ({"evaluation": ["map"]}, 12, ["'map'", ", ".join(SCENE_SCORES)]),
        ({"evaluation": ["segment_1s_er"]}, 12, ["segment_1s_er", ", ".join(SCENE_SCORES)]),
        (
            {"evaluation": ["mAP", "jaccard_macro"]},
            12,
            ["warning: ", "jaccard_macro", "python -m sonyc_tasks.heareval"],
        ),
    ],
)
def test_metadata(task: Task, only: Only, changes: dict[str, Any], line: int, words: list[str]) -> None:
    only(task(changes), f"task_metadata.json:{line}", *words)


def test_jaccard_does_not_score_one_label_a_clip(task: Task, only: Only) -> None:
    metadata = {"prediction_type": "multiclass", "evaluation": ["jaccard_micro"]}
    splits = {"valid": {"c.wav": ["cat"]}, "test": {"d.wav": ["dog"], "e.wav": ["cat"]}}
    only(task(metadata, splits), "task_metadata.json:12", "jaccard_micro", ", ".join(SCENE_SCORES))


def test_missing_keys_and_files(task: Task, only: Only) -> None:
    folder = task()
    (folder / "task_metadata.json").write_text('{"task_name": "pets"}')
    assert len(validate_task(folder)) == 6
    assert any(finding.startswith(f"{folder}/task_metadata.json: ") for finding in validate_task(folder))
    assert any("splits" in finding for finding in validate_task(folder))
    (folder / "task_metadata.json").unlink()
    only(folder, "task_metadata.json", "missing")


# ---------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("vocabulary", "place", "word"),
    [
        ("0,cat\n2,dog\n", "labelvocabulary.csv", "0 to 1"),
        ("0,cat\n1,dog\n1,cow\n", "labelvocabulary.csv", "0 to 2"),
        ("0,cat\n1,dog\n2,cat\n", "labelvocabulary.csv:4", "cat"),
        ("0,cat\n1,dog\nx,cow\n", "labelvocabulary.csv:4", "'x,cow'"),
    ],
)
def test_vocabulary(task: Task, vocabulary: str, place: str, word: str) -> None:
    finding = errors_of(validate_task(task(vocabulary=vocabulary)))[0]
    assert f"/{place}: " in finding
    assert word in finding


def test_vocabulary_header_and_emptiness(task: Task, only: Only) -> None:
    folder = task()
    (folder / "labelvocabulary.csv").write_text("label,idx\ncat,0\n")
    only(folder, "labelvocabulary.csv:1", "'label,idx'", "idx,label")
    (folder / "labelvocabulary.csv").write_text("idx,label\n")
    only(folder, "labelvocabulary.csv:1", "no labels")


def test_labels_that_heareval_reads_differently(task: Task) -> None:
    """heareval reads the vocabulary with pandas: "01" comes back as 1, and looking up "01" is a KeyError."""
    splits = {"train": {"a.wav": ["01"], "b.wav": ["2"]}, "valid": {"c.wav": ["2"]}, "test": {"d.wav": ["2"]}}
    findings = validate_task(task(splits=splits, vocabulary="0,01\n1,2\n"))
    assert errors_of(findings) == findings[:1]
    for words in ("/train.json:2: ", "'01'", "a.wav", "becomes 1 ", "pandas"):
        assert words in findings[0]


def test_number_labels_are_fine_where_they_stay_the_same(task: Task) -> None:
    splits = {"train": {"a.wav": [21], "b.wav": ["22"]}, "valid": {"c.wav": [21]}, "test": {"d.wav": [22, 21]}}
    assert validate_task(task(splits=splits, vocabulary="0,21\n1,22\n")) == []


@pytest.mark.parametrize(
    ("splits", "place", "words"),
    [
        ({"train": {"a.wav": ["cat"], "b.wav": ["dog", "cow"]}}, "train.json:3", ["'cow'", "b.wav"]),
        ({"train": {"a.wav": ["cat", "dog"], "b.wav": "dog"}}, "train.json:3", ["b.wav", "'dog'", "list"]),
        ({"train": {"a.wav": ["cat", "dog"], "b.wav": [None]}}, "train.json:3", ["None", "b.wav"]),
        ({"valid": {"a.wav": ["cat"]}}, "valid.json:2", ["a.wav", "train.json:2"]),
        ({"valid": {}}, "valid.json:1", ["no clips"]),
    ],
)
def test_split_files(task: Task, only: Only, splits: dict[str, Any], place: str, words: list[str]) -> None:
    only(task(splits=splits), place, *words)


def test_broken_split_files(task: Task, only: Only) -> None:
    folder = task()
    (folder / "valid.json").write_text('{\n"c.wav": [],\n"e.wav" []\n}')
    only(folder, "valid.json:3", "JSON", "Expecting ':' delimiter")
    (folder / "valid.json").write_text("[1]")
    only(folder, "valid.json:1", "JSON object")
    (folder / "valid.json").write_text('{"c.wav": [],\n "c.wav": ["cat"]}')
    only(folder, "valid.json:1", "c.wav", "2 times")
    (folder / "valid.json").write_bytes(b"\xff\xfe")
    only(folder, "valid.json", "'utf-8' codec")
    (folder / "valid.json").unlink()
    only(folder, "valid.json", "missing")


@pytest.mark.parametrize("labels", [[], ["cat", "dog"]])
def test_a_multiclass_clip_has_one_label(task: Task, only: Only, labels: list[str]) -> None:
    splits = {"valid": {"c.wav": labels}, "test": {"d.wav": ["dog"], "e.wav": ["cat"]}}
    metadata = {"prediction_type": "multiclass", "evaluation": ["top1_acc"]}
    only(task(metadata, splits), "valid.json:2", "c.wav", f"{len(labels)} labels")
