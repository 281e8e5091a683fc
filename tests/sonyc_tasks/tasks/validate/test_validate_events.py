"""Task folders of events: their times, labels and scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.tasks.validate.task import validate_task

Task = Callable[..., Path]
Only = Callable[..., None]
Clip = Callable[..., None]

EVENTS = {"embedding_type": "event", "evaluation": ["event_onset_200ms_fms", "segment_1s_er"], "sample_duration": 2.0}


def event_splits(**changes: object) -> dict[str, Any]:
    both = [{"label": "cat", "start": 0.0, "end": 300.0}, {"label": "dog", "start": 5, "end": 1999}]
    return {
        "train": {"a.wav": both, "b.wav": [{"label": "dog", "start": 10, "end": 20, **changes}]},
        "valid": {"c.wav": [], "e.wav": both},
        "test": {"d.wav": both},
    }


@pytest.fixture
def event_task(task: Task, clip: Clip) -> Task:
    def write(splits: dict[str, Any], **metadata: object) -> Path:
        folder = task({**EVENTS, **metadata}, splits)
        for path in folder.glob("8000/*/*.wav"):
            clip(path, frames=16_000)
        return folder

    return write


def test_a_sound_event_task(event_task: Task) -> None:
    assert validate_task(event_task(event_splits())) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"end": 5}, "from 10 to 5"),
        ({"start": -1}, "from -1 to 20"),
        ({"end": "x"}, "from 10 to 'x'"),
        ({"end": 2001}, "2001 ms"),
        ({"label": "cow"}, "'cow'"),
    ],
)
def test_events(event_task: Task, only: Only, changes: dict[str, object], words: str) -> None:
    only(event_task(event_splits(**changes)), "train.json:3", "b.wav", words)


def test_incomplete_events(event_task: Task, only: Only) -> None:
    splits = event_splits()
    splits["train"]["b.wav"] = ["dog"]
    only(event_task(splits), "train.json:3", "b.wav", "'dog'")


def test_scene_scores_do_not_fit_events(event_task: Task) -> None:
    findings = validate_task(event_task(event_splits(), evaluation=["mAP", "jaccard_micro"]))
    for finding, score in zip(findings, ("mAP", "jaccard_micro"), strict=True):
        assert f"task_metadata.json:12: {score} " in finding
        assert "event_onset_200ms_fms" in finding


def test_times_in_seconds_are_suspected(event_task: Task, only: Only) -> None:
    splits = json.loads(json.dumps(event_splits()))
    for clips in splits.values():
        for events in clips.values():
            for event in events:
                event.update(start=event["start"] / 1000, end=event["end"] / 1000)
    folder = event_task(splits)
    only(folder, "task_metadata.json: warning", "1.999 ms", "seconds")
