"""Audio that is missing, broken, or not of one rate and length."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from sonyc_tasks.validate import validate_task

Task = Callable[..., Path]
Only = Callable[[Path], str]
Clip = Callable[..., None]


def test_audio_files(task: Task, clip: Clip, only: Only) -> None:
    folder = task()
    path = folder / "8000/train/b.wav"
    for change, finding in (
        (path.unlink, "is missing; add the file or remove the clip"),
        (lambda: path.write_text("x"), "cannot be decoded as audio; write it again"),
        (lambda: clip(path, frames=0), "holds no samples; write it again or remove the clip"),
        (lambda: clip(path, rate=16_000), "has 16000 Hz; resample it to 8000 Hz"),
        (lambda: clip(path, channels=2), "has 2 channels; mix it to mono"),
        (
            lambda: clip(path, frames=801),
            "has 801 samples and most clips have 800, which heareval cannot batch; cut or pad it, or set "
            "sample_duration to null",
        ),
    ):
        change()
        assert only(folder) == f"train.json:3: 8000/train/b.wav {finding}"


def test_lengths_may_differ_without_a_sample_duration(task: Task, clip: Clip) -> None:
    folder = task({"sample_duration": None})
    clip(folder / "8000/train/b.wav", frames=801)
    assert validate_task(folder) == []


def test_sample_duration_agrees_with_the_clips(task: Task, only: Only) -> None:
    folder = task({"sample_duration": 10.0})
    assert only(folder) == "task_metadata.json: 8000 Hz clips last 0.1 s, sample_duration is 10 s; make them agree"


def test_every_sample_rate_is_checked(task: Task, only: Only) -> None:
    folder = task()
    (folder / "16000").mkdir()
    assert len(validate_task(folder)) == 5
    for rate in ("8000", "16000"):
        shutil.rmtree(folder / rate)
    assert (
        only(folder) == "task_metadata.json: no clip has audio; put it into <sample rate>/<split>/, like 44100/train/"
    )
