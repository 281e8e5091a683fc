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
Only = Callable[[Path], str]


def test_a_sound_task_has_no_findings(task: Task) -> None:
    assert validate_task(task()) == []


def test_a_missing_folder(tmp_path: Path) -> None:
    (finding,) = validate_task(tmp_path / "x")
    assert finding.endswith(
        "x: there is no such folder; give the folder of one task, like tasks/<name>-<version>-<mode>"
    )


def test_score_names_are_those_of_heareval() -> None:
    found = find_spec("heareval")
    if found is None or not found.submodule_search_locations:
        pytest.skip("heareval is not installed")
    source = (Path(found.submodule_search_locations[0]) / "score.py").read_text()
    table = source[source.index("available_scores") :]
    assert set(re.findall(r'^    "(\w+)":', table, re.MULTILINE)) == {*SCENE_SCORES, *EVENT_SCORES}


# ---------------------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"embedding_type": "clip"}, "task_metadata.json:3: embedding_type is 'clip'; heareval knows scene, event"),
        (
            {"prediction_type": "x"},
            "task_metadata.json:4: prediction_type is 'x'; heareval knows multilabel, multiclass",
        ),
        (
            {"split_mode": "kfold"},
            "task_metadata.json:5: split_mode is 'kfold'; heareval knows trainvaltest, presplit_kfold, new_split_kfold",
        ),
        (
            {"splits": ["train", "test"]},
            "task_metadata.json:6: splits is ['train', 'test']; "
            "with split_mode trainvaltest, give train, valid and test",
        ),
        ({"splits": "train"}, "task_metadata.json:6: splits is 'train'; give a list of split names"),
        ({"splits": ["test"] * 3}, "task_metadata.json:6: splits is ['test', 'test', 'test']; name every split once"),
        (
            {"split_mode": "new_split_kfold", "splits": ["fold00", "fold01"]},
            "task_metadata.json:6: splits has 2 folds; heareval needs 3 (one to test, one to validate)",
        ),
        ({"sample_duration": 0}, "task_metadata.json:11: sample_duration is 0; give seconds, or null"),
        ({"sample_duration": "10"}, "task_metadata.json:11: sample_duration is '10'; give seconds, or null"),
        (
            {"evaluation": []},
            "task_metadata.json:12: evaluation is []; give a list of scores, the first selects the probe",
        ),
        (
            {"evaluation": ["map"]},
            f"task_metadata.json:12: heareval has no score 'map'; choose from {', '.join(SCENE_SCORES)}",
        ),
        (
            {"evaluation": ["segment_1s_er"]},
            f"task_metadata.json:12: segment_1s_er does not score scene tasks; choose from {', '.join(SCENE_SCORES)}",
        ),
        (
            {"evaluation": ["mAP", "jaccard_macro"]},
            "task_metadata.json:12: warning: jaccard_macro needs python -m sonyc_tasks.heareval; heareval alone has no "
            "such score",
        ),
    ],
)
def test_metadata(task: Task, only: Only, changes: dict[str, Any], finding: str) -> None:
    assert only(task(changes)) == finding


def test_jaccard_does_not_score_one_label_a_clip(task: Task, only: Only) -> None:
    metadata = {"prediction_type": "multiclass", "evaluation": ["jaccard_micro"]}
    splits = {"valid": {"c.wav": ["cat"]}, "test": {"d.wav": ["dog"], "e.wav": ["cat"]}}
    assert only(task(metadata, splits)) == (
        f"task_metadata.json:12: jaccard_micro scores multilabel scene tasks; choose from {', '.join(SCENE_SCORES)}"
    )


def test_missing_keys_and_files(task: Task, only: Only) -> None:
    folder = task()
    (folder / "task_metadata.json").write_text('{"task_name": "pets"}')
    assert len(validate_task(folder)) == 6
    assert f"{folder}/task_metadata.json: the key splits is missing; add it, heareval reads it" in validate_task(folder)
    (folder / "task_metadata.json").unlink()
    assert only(folder) == "task_metadata.json: the file is missing; write it, heareval reads it"


# ---------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("vocabulary", "finding"),
    [
        ("0,cat\n2,dog\n", "labelvocabulary.csv: the indices are not 0 to 1, each once; number them so"),
        ("0,cat\n1,dog\n1,cow\n", "labelvocabulary.csv: the indices are not 0 to 2, each once; number them so"),
        ("0,cat\n1,dog\n2,cat\n", "labelvocabulary.csv:4: the label cat is there twice; keep one"),
        ("0,cat\n1,dog\nx,cow\n", "labelvocabulary.csv:4: 'x,cow' is not an index and a label; write like 0,dog"),
    ],
)
def test_vocabulary(task: Task, vocabulary: str, finding: str) -> None:
    assert errors_of(validate_task(task(vocabulary=vocabulary)))[0].endswith(f"/{finding}")


def test_vocabulary_header_and_emptiness(task: Task, only: Only) -> None:
    folder = task()
    (folder / "labelvocabulary.csv").write_text("label,idx\ncat,0\n")
    assert only(folder) == "labelvocabulary.csv:1: the header is 'label,idx'; it must be idx,label"
    (folder / "labelvocabulary.csv").write_text("idx,label\n")
    assert only(folder) == "labelvocabulary.csv:1: there are no labels; list them from index 0"


def test_labels_that_heareval_reads_differently(task: Task) -> None:
    """heareval reads the vocabulary with pandas: "01" comes back as 1, and looking up "01" is a KeyError."""
    splits = {"train": {"a.wav": ["01"], "b.wav": ["2"]}, "valid": {"c.wav": ["2"]}, "test": {"d.wav": ["2"]}}
    findings = validate_task(task(splits=splits, vocabulary="0,01\n1,2\n"))
    assert errors_of(findings) == findings[:1]
    assert findings[0].endswith(
        "/train.json:2: '01', a label of a.wav, becomes 1 when heareval reads labelvocabulary.csv, through pandas; "
        "use a label that is plainly text"
    )


def test_number_labels_are_fine_where_they_stay_the_same(task: Task) -> None:
    splits = {"train": {"a.wav": [21], "b.wav": ["22"]}, "valid": {"c.wav": [21]}, "test": {"d.wav": [22, 21]}}
    assert validate_task(task(splits=splits, vocabulary="0,21\n1,22\n")) == []


@pytest.mark.parametrize(
    ("splits", "finding"),
    [
        (
            {"train": {"a.wav": ["cat"], "b.wav": ["dog", "cow"]}},
            "train.json:3: 'cow', a label of b.wav, is not in labelvocabulary.csv; add or correct it",
        ),
        (
            {"train": {"a.wav": ["cat", "dog"], "b.wav": "dog"}},
            "train.json:3: the labels of b.wav are 'dog'; give a list",
        ),
        (
            {"train": {"a.wav": ["cat", "dog"], "b.wav": [None]}},
            "train.json:3: None, a label of b.wav, is not in labelvocabulary.csv; add or correct it",
        ),
        ({"valid": {"a.wav": ["cat"]}}, "valid.json:2: a.wav is also in train.json:2; keep it in one split"),
        ({"valid": {}}, "valid.json:1: the split has no clips; every split needs some"),
    ],
)
def test_split_files(task: Task, only: Only, splits: dict[str, Any], finding: str) -> None:
    assert only(task(splits=splits)) == finding


def test_broken_split_files(task: Task, only: Only) -> None:
    folder = task()
    (folder / "valid.json").write_text('{\n"c.wav": [],\n"e.wav" []\n}')
    assert only(folder) == "valid.json:3: this is not JSON (Expecting ':' delimiter); correct the line"
    (folder / "valid.json").write_text("[1]")
    assert only(folder) == "valid.json:1: this is not a JSON object; write { … }"
    (folder / "valid.json").write_text('{"c.wav": [],\n "c.wav": ["cat"]}')
    assert only(folder) == "valid.json:1: c.wav is there 2 times and only the last one counts; keep one"
    (folder / "valid.json").write_bytes(b"\xff\xfe")
    assert only(folder).startswith("valid.json: the file cannot be read ('utf-8' codec")
    (folder / "valid.json").unlink()
    assert only(folder) == "valid.json: the file is missing; write it, heareval reads it"


@pytest.mark.parametrize("labels", [[], ["cat", "dog"]])
def test_a_multiclass_clip_has_one_label(task: Task, only: Only, labels: list[str]) -> None:
    splits = {"valid": {"c.wav": labels}, "test": {"d.wav": ["dog"], "e.wav": ["cat"]}}
    metadata = {"prediction_type": "multiclass", "evaluation": ["top1_acc"]}
    expected = f"valid.json:2: c.wav has {len(labels)} labels; a multiclass task needs exactly one"
    assert only(task(metadata, splits)) == expected
