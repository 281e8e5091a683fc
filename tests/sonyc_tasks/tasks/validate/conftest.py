"""A small sound task folder, and what is found wrong with it, for the tests of task folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sonyc_tasks.tasks.validate.task import validate_task

METADATA = {
    "task_name": "pets",
    "embedding_type": "scene",
    "prediction_type": "multilabel",
    "split_mode": "trainvaltest",
    "splits": ["train", "valid", "test"],
    "sample_duration": 0.1,
    "evaluation": ["mAP"],
}
SPLITS: dict[str, dict[str, Any]] = {
    "train": {"a.wav": ["cat"], "b.wav": ["dog"]},
    "valid": {"c.wav": [], "e.wav": ["dog", "cat"]},
    "test": {"d.wav": ["dog", "cat"]},
}
Task = Callable[..., Path]


def clip(path: Path, frames: int = 800, rate: int = 8000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((frames, channels)), rate)


def only(folder: Path, place: str, *words: str) -> None:
    """There is a single finding about a folder: at ``place`` (file, or file:line), and with all the ``words``."""
    (finding,) = validate_task(folder)
    assert finding.startswith(f"{folder}/{place}: ")
    for word in words:
        assert word in finding.removeprefix(f"{folder}/{place}: ")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A small sound task folder, written by hand rather than with our writer; arguments change parts of it."""

    def write(
        metadata: dict[str, Any] | None = None, splits: dict[str, Any] | None = None, vocabulary: str = "0,cat\n1,dog\n"
    ) -> Path:
        folder = tmp_path / "pets-v1-full"
        folder.mkdir()
        content = {**METADATA, **(metadata or {})}
        (folder / "task_metadata.json").write_text(json.dumps(content, indent=1))
        (folder / "labelvocabulary.csv").write_text("idx,label\n" + vocabulary)
        for split, labels in (SPLITS | (splits or {})).items():
            if split in content["splits"]:
                lines = [f"{json.dumps(name)}: {json.dumps(own)}" for name, own in labels.items()]
                (folder / f"{split}.json").write_text("{\n" + ",\n".join(lines) + "\n}")
                for name in labels:
                    clip(folder / "8000" / split / name)
        return folder

    return write


@pytest.fixture(name="clip")
def clip_fixture() -> Callable[..., None]:
    return clip


@pytest.fixture(name="only")
def only_fixture() -> Callable[..., None]:
    return only
