"""Audio that is missing, broken, or not of one rate and length."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sonyc_tasks.tasks.validate.task import errors_of, validate_task

Task = Callable[..., Path]
Only = Callable[..., None]
Clip = Callable[..., None]


def test_audio_files(task: Task, clip: Clip, only: Only) -> None:
    folder = task()
    path = folder / "8000/train/b.wav"
    for change, words in (
        (path.unlink, ["missing"]),
        (lambda: path.write_text("x"), ["decoded"]),
        (lambda: clip(path, frames=0), ["no samples"]),
        (lambda: clip(path, rate=16_000), ["16000 Hz", "8000 Hz"]),
        (lambda: clip(path, channels=2), ["2 channels", "mono"]),
        (lambda: clip(path, frames=801), ["801", "800", "sample_duration"]),
    ):
        change()
        only(folder, "train.json:3", "8000/train/b.wav", *words)


def test_lengths_may_differ_without_a_sample_duration(task: Task, clip: Clip) -> None:
    folder = task({"sample_duration": None})
    clip(folder / "8000/train/b.wav", frames=801)
    assert validate_task(folder) == []


def test_sample_duration_agrees_with_the_clips(task: Task, only: Only) -> None:
    folder = task({"sample_duration": 10.0})
    only(folder, "task_metadata.json", "8000 Hz", "0.1 s", "sample_duration", "10 s")


def test_every_sample_rate_is_checked(task: Task, only: Only) -> None:
    folder = task()
    (folder / "16000").mkdir()
    assert len(validate_task(folder)) == 5
    for rate in ("8000", "16000"):
        shutil.rmtree(folder / rate)
    only(folder, "task_metadata.json", "no clip has audio")


@pytest.mark.parametrize(
    ("metadata", "splits"),
    [
        ({}, {}),
        (
            {"split_mode": "presplit_kfold", "splits": ["train", "valid", "test"], "sample_duration": None},
            {"test": {"d.wav": ["dog"]}},
        ),
    ],
)
def test_a_recording_in_two_splits_is_named(task: Task, metadata: dict[str, Any], splits: dict[str, Any]) -> None:
    folder = task(metadata, splits)
    noise = np.random.default_rng(0).integers(-99, 99, (3, 800)).astype(np.int16)
    for name, sound in (("train/a", 0), ("train/b", 0), ("valid/c", 1), ("test/d", 2)):
        soundfile.write(folder / f"8000/{name}.wav", noise[sound], 8000)
    assert not [finding for finding in validate_task(folder) if "same recording" in finding]
    soundfile.write(folder / "8000/test/d.wav", noise[0], 8000)
    (found,) = [finding for finding in validate_task(folder) if "same recording" in finding]
    assert found.startswith(f"{folder}/test.json:2: warning: d.wav")
    assert "a.wav in train" in found
    assert errors_of([found]) == []
