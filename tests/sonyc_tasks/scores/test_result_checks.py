"""Results that may not stand beside each other, and those of which nobody can tell, for all three commands."""

from __future__ import annotations

import json
import os
import pickle
import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sonyc_tasks.files import file_digest
from sonyc_tasks.launcher.embedding_record import FILE, EmbeddingRecord, labels_digest
from sonyc_tasks.scores.compare import compare
from sonyc_tasks.scores.leaderboard import leaderboard
from sonyc_tasks.scores.metrics import mean_average_precision
from sonyc_tasks.scores.results import load_predictions, read_scores

TASK = "sonyc_source-v1-full"
OFFICIAL = "fsd50k-v1.0-full"
CLASSES = ("crow", "rail", "jay")
BUILD = {"recipe": 1, "sample_rates": [16_000], "audio": "a" * 64, "labels": "b" * 64}

Write = Callable[..., Path]


def splits(seed: int = 0) -> dict[str, dict[str, list[str]]]:
    draw = np.random.default_rng(seed)
    sets = {}
    for split, clips in (("train", 12), ("valid", 6), ("test", 9)):
        some = draw.random((clips, 3)) < 0.5
        sets[split] = {
            f"{split}{n}.wav": [CLASSES[k] for k in range(3) if some[n, k] or n % 3 == k] for n in range(clips)
        }
    return sets


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A folder as the launcher and heareval leave it: a task's copies, the record of the embeddings, and results."""

    def run(
        module: str,
        task: str = TASK,
        *,
        weights: str = "1" * 64,
        options: dict[str, Any] | None = None,
        record: bool = True,
        sets: dict[str, dict[str, list[str]]] | None = None,
        classes: tuple[str, ...] = CLASSES,
        validation_score: float = 0.5,
        **metadata: Any,
    ) -> Path:
        folder = tmp_path / "embeddings" / module / task
        folder.mkdir(parents=True)
        sets = sets or splits()
        content = {"task_name": "t", "splits": list(sets), "split_mode": "trainvaltest", "build": BUILD, **metadata}
        (folder / "task_metadata.json").write_text(json.dumps(content))
        (folder / "labelvocabulary.csv").write_text(
            "idx,label\n" + "".join(f"{index},{label}\n" for index, label in enumerate(classes))
        )
        for split, clips in sets.items():
            (folder / f"{split}.json").write_text(json.dumps(clips))
            (folder / f"{split}.embeddings.npy").write_bytes(b"")
        if record:
            digests = {"labels": labels_digest(folder), "audio": "c" * 64}
            made = {"tensors": weights, "file": weights}
            EmbeddingRecord(module, "1.0", made, options or {}, 16_000, digests, "2021.1.3").write(folder)
        # heareval shuffles the clips of the splits, one after the other, with seed 0
        shuffle, order = random.Random(0), {}
        for split, clips in sets.items():
            order[split] = list(clips)
            shuffle.shuffle(order[split])
        target = np.array([[label in sets["test"][clip] for label in classes] for clip in order["test"]])
        prediction = np.random.default_rng(len(module)).random(target.shape).astype(np.float32)
        tensors = {"target": torch.from_numpy(target).float(), "prediction": torch.from_numpy(prediction)}
        (folder / "test.predictions.pkl").write_bytes(pickle.dumps(tensors))
        value = mean_average_precision(target, prediction)
        noted = {"test_score": value, "test_mAP": value, "validation_score": validation_score}
        (folder / "test.predicted-scores.json").write_text(json.dumps({"test": noted, "score_mode": "max"}))
        return folder

    return run


COMMANDS: list[tuple[str, Callable[[Path], object]]] = [
    (TASK, read_scores),
    (TASK, lambda folder: compare([folder], resamples=5)),
    (OFFICIAL, leaderboard),
]
each = pytest.mark.parametrize(("task", "command"), COMMANDS, ids=["score", "compare", "leaderboard"])


def said(command: Callable[[Path], object], folder: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        command(folder)
    return [str(warning.message) for warning in caught]


@each
def test_what_belongs_together_brings_no_word(task: str, command: Any, tmp_path: Path, write: Write) -> None:
    write("net", task)
    write("mel", task, weights="2" * 64, build={**BUILD, "sample_rates": [16_000, 44_100]})
    assert said(command, tmp_path / "embeddings") == []


def relabelled() -> dict[str, dict[str, list[str]]]:
    return {**splits(), "test": splits(1)["test"]}


def reordered() -> dict[str, dict[str, list[str]]]:
    return {**splits(), "train": dict(reversed(splits()["train"].items()))}


@each
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"build": {**BUILD, "audio": "d" * 64}}, "build of task_metadata.json"),
        ({"evaluation_params": {"task_specific_param_grid": {"lr": [1]}}}, "evaluation_params of task_metadata.json"),
        ({"classes": ("rail", "crow", "jay")}, "labelvocabulary.csv"),
        ({"sets": relabelled()}, "test.json"),
        ({"sets": reordered()}, "train.json"),
    ],
)
def test_builds_are_not_mixed(
    task: str, command: Any, tmp_path: Path, write: Write, changes: dict[str, Any], named: str
) -> None:
    """Without a record too: stock heareval copies what tells the build."""
    folders = [write("net", task, record=False), write("mel", task, record=False, **changes)]
    with pytest.raises(ValueError, match="builds") as caught:
        command(tmp_path / "embeddings")
    assert all(str(folder) in str(caught.value) for folder in folders)
    assert named in str(caught.value)


def test_a_third_build_is_found_where_the_first_tells_nothing(tmp_path: Path, write: Write) -> None:
    (write("a", record=False) / "task_metadata.json").unlink()
    folders = [write("b"), write("c", build={**BUILD, "labels": "x"})]
    with pytest.raises(ValueError, match="builds") as caught:
        read_scores(tmp_path / "embeddings")
    assert all(str(folder) in str(caught.value) for folder in folders)


def test_other_audio_at_the_same_rate_is_another_build(tmp_path: Path, write: Write) -> None:
    write("net")
    folder = write("mel")
    record = EmbeddingRecord.read(folder)
    assert record is not None
    replace(record, task={**record.task, "audio": "e" * 64}).write(folder)
    with pytest.raises(ValueError, match="16000 Hz"):
        read_scores(tmp_path / "embeddings")
    replace(record, sample_rate=44_100, task={**record.task, "audio": "e" * 64}).write(folder)
    read_scores(tmp_path / "embeddings")


@pytest.mark.parametrize(
    ("tasks", "command"),
    [
        ((TASK, "sonyc_sensor-v1-full"), lambda folder: compare([folder], resamples=5)),
        ((OFFICIAL, "esc50-v2.0.0-full"), leaderboard),
    ],
)
def test_one_name_is_one_model(tasks: tuple[str, str], command: Any, tmp_path: Path, write: Write) -> None:
    folders = [write("net", tasks[0]), write("net", tasks[1], weights="2" * 64)]
    for task in tasks:
        write("mel", task)
    with pytest.raises(ValueError, match="weights") as caught:
        command(tmp_path / "embeddings")
    assert all(str(folder) in str(caught.value) for folder in folders)


def test_the_views_of_a_model_are_of_one_weight_file(tmp_path: Path, write: Write) -> None:
    folder = write("net")
    private = write("net-view=private", options={"view": "private"})
    record = EmbeddingRecord.read(folder)
    assert record is not None
    # a view may load other tensors of the file, or need no file
    for weights in ({"tensors": "9" * 64, "file": "1" * 64}, {"tensors": "9" * 64}):
        replace(record, weights=weights).write(private)
        assert said(read_scores, tmp_path / "embeddings") == []
    replace(record, weights={"tensors": "9" * 64, "file": "8" * 64}).write(private)
    with pytest.raises(ValueError, match="weight file") as caught:
        read_scores(tmp_path / "embeddings")
    assert str(folder) in str(caught.value)
    assert str(private) in str(caught.value)


@each
def test_a_missing_record_is_said_by_folder(task: str, command: Any, tmp_path: Path, write: Write) -> None:
    write("net", task)
    folder = write("mel", task, record=False)
    (warning,) = said(command, tmp_path / "embeddings")
    assert str(folder.parent) in warning
    assert task in warning
    assert FILE in warning


def test_results_of_other_embeddings(tmp_path: Path, write: Write) -> None:
    """The launcher's record of a probe names the record of the embeddings that it was trained on."""
    folder = write("net")
    (folder / "prediction_record.json").write_text(json.dumps({"embeddings": file_digest(folder / FILE)}))
    read_scores(tmp_path / "embeddings")
    record = EmbeddingRecord.read(folder)
    assert record is not None
    replace(record, weights={"tensors": "7" * 64}).write(folder)
    with pytest.raises(ValueError, match="embedding_record") as caught:
        read_scores(tmp_path / "embeddings")
    assert str(folder) in str(caught.value)


def test_a_record_of_another_build(tmp_path: Path, write: Write) -> None:
    folder = write("net")
    record = EmbeddingRecord.read(folder)
    assert record is not None
    replace(record, task={**record.task, "labels": "0" * 64}).write(folder)
    (warning,) = said(read_scores, tmp_path / "embeddings")
    assert str(folder) in warning
    assert FILE in warning


def test_results_older_than_the_embeddings(tmp_path: Path, write: Write) -> None:
    folder = write("net")
    time = (folder / "test.embeddings.npy").stat().st_mtime
    os.utime(folder / "test.predictions.pkl", (time - 10, time - 10))  # as a copy of the folder may have it
    assert said(read_scores, tmp_path / "embeddings") == []
    os.utime(folder / "test.predictions.pkl", (time - 3600, time - 3600))
    (warning,) = said(read_scores, tmp_path / "embeddings")
    assert str(folder) in warning
    assert "older" in warning


@each
@pytest.mark.parametrize("value", [float("-inf"), float("inf"), float("nan")])
def test_a_stopped_probe_is_named(task: str, command: Any, tmp_path: Path, write: Write, value: float) -> None:
    folder = write("net", task, validation_score=value)
    write("mel", task)
    (warning,) = said(command, tmp_path / "embeddings")
    assert str(folder) in warning


def test_predictions_of_other_clips(tmp_path: Path, write: Write) -> None:
    folder, other = write("net"), write("mel", sets=relabelled())
    assert load_predictions(folder / "test.predictions.pkl").classes == CLASSES
    (folder / "test.predictions.pkl").write_bytes((other / "test.predictions.pkl").read_bytes())
    with pytest.raises(ValueError, match=r"test\.predictions\.pkl") as caught:
        load_predictions(folder / "test.predictions.pkl")
    assert "test.json" in str(caught.value)


def test_undefined_scores_are_no_row(tmp_path: Path, write: Write) -> None:
    folder = write("net", OFFICIAL)
    noted = {"test_score": float("nan"), "test_aucroc": float("nan"), "validation_score": 0.5}
    (folder / "test.predicted-scores.json").write_text(json.dumps({"test": noted, "score_mode": "max"}))
    with pytest.warns(UserWarning, match="aucroc"), pytest.raises(ValueError, match=r"FSD50K of net .*undefined"):
        leaderboard(tmp_path / "embeddings")
