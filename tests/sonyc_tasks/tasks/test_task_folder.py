from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sonyc_tasks.tasks import task_folder
from sonyc_tasks.tasks.task_folder import Task, WriteReport, write_task
from sonyc_tasks.tasks.validate.task import validate_task

RATE = 8000
SPLITS = {"train": {"a.wav": ["cat"], "b.wav": ["dog"]}, "valid": {"c.wav": ["cat"]}, "test": {"d.wav": ["dog", "cat"]}}


@pytest.fixture
def sources(tmp_path: Path, write_noise: Any) -> dict[str, Path]:
    """Four clips of 0.25 s at 8 kHz: one cut short, one longer."""
    files = {}
    for seed, (name, seconds) in enumerate([("a", 0.25), ("b", 0.1), ("c", 0.3), ("d", 0.25)]):
        files[f"{name}.wav"] = tmp_path / "data" / f"{name}.flac"
        write_noise(files[f"{name}.wav"], seconds, RATE, seed)
    return files


@pytest.fixture
def task() -> Task:
    return Task(
        name="pets",
        vocabulary=["cat", "dog"],
        splits=SPLITS,
        prediction_type="multilabel",
        evaluation=["mAP"],
        sample_duration=0.25,
        extra={"note": "kept"},
    )


@pytest.fixture
def write(tmp_path: Path, sources: dict[str, Path]) -> Any:
    def run(task: Task, **options: Any) -> WriteReport:
        return write_task(task, sources, tmp_path / "out" / "tasks", sample_rate=RATE, **options)

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_sample_rates(tmp_path: Path, task: Task, sources: dict[str, Path]) -> None:
    place, rates = tmp_path / "tasks", [8000, 16_000]
    folder = write_task(task, sources, place, sample_rate=rates).folder
    for rate in rates:
        read, found = soundfile.read(folder / str(rate) / "train" / "b.wav")
        assert (len(read), found) == (rate // 4, rate)
    assert write_task(task, sources, place, sample_rate=rates).reused
    assert write_task(replace(task, name="twin"), sources, place, sample_rate=rates).linked
    (folder / "16000" / "test" / "d.wav").unlink()
    assert not write_task(task, sources, place, sample_rate=rates).reused
    assert (folder / "16000" / "test" / "d.wav").is_file()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def test_another_sample_rate_is_added(tmp_path: Path, task: Task, sources: dict[str, Path]) -> None:
    place = tmp_path / "tasks"
    folder = write_task(task, sources, place, sample_rate=8000).folder
    before, kept = content(folder), (folder / "8000/train/a.wav").stat().st_ino
    added = write_task(task, sources, place, sample_rate=16_000)
    assert (added.reused, added.linked) == (False, False)
    assert (folder / "8000/train/a.wav").stat().st_ino == kept
    both = content(folder)
    assert {name: both[name] for name in before} == before
    assert len(both) == 2 * len(before)
    assert json.loads((folder / "task_metadata.json").read_text())["build"]["sample_rates"] == [8000, 16_000]
    assert validate_task(folder) == []
    at_once = write_task(task, sources, tmp_path / "at-once", sample_rate=[16_000, 8000]).folder
    assert content(at_once) == both
    assert (at_once / "task_metadata.json").read_bytes() == (folder / "task_metadata.json").read_bytes()
    for rates in (8000, 16_000, [16_000, 8000]):
        assert write_task(task, sources, place, sample_rate=rates).reused


def test_other_audio_is_written_at_every_sample_rate(
    tmp_path: Path, task: Task, sources: dict[str, Path], write_noise: Any
) -> None:
    folder = write_task(task, sources, tmp_path / "tasks", sample_rate=[8000, 16_000]).folder
    before = content(folder)
    write_noise(sources["a.wav"], 0.25, RATE, seed=99)
    write_task(task, sources, tmp_path / "tasks", sample_rate=16_000)
    changed = {name for name, data in content(folder).items() if data != before[name]}
    assert changed == {"8000/train/a.wav", "16000/train/a.wav"}


def test_a_sample_rate_that_cannot_be_added_changes_nothing(
    tmp_path: Path, task: Task, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_task(task, sources, tmp_path / "tasks", sample_rate=8000).folder
    before, record = content(folder), (folder / "task_metadata.json").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(task_folder.audio, "write_pcm16", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_task(task, sources, tmp_path / "tasks", sample_rate=16_000)
    assert (content(folder), (folder / "task_metadata.json").read_bytes()) == (before, record)
    assert names(tmp_path) == ["data", "tasks"]


@pytest.mark.parametrize(
    ("first", "second", "refused"), [("a", "d", True), ("a", "c", True), ("c", "d", True), ("a", "b", False)]
)
def test_a_recording_is_in_one_split(
    tmp_path: Path, write: Any, task: Task, sources: Any, write_noise: Any, first: str, second: str, refused: bool
) -> None:
    """The copies have other lengths: what counts is the audio that the task would have."""
    write_noise(sources[f"{first}.wav"], 0.25, RATE, seed=7)
    write_noise(sources[f"{second}.wav"], 0.5, RATE, seed=7)
    if not refused:
        assert write(task).clips == 4
        return
    with pytest.raises(ValueError, match=rf"{first}\.wav \(.*{second}\.wav \("):
        write(task)
    assert not (tmp_path / "out").exists()


def many(clips: dict[str, int]) -> dict[str, dict[str, list[str]]]:
    return {split: {f"{split}-{n}.wav": ["cat"] for n in range(count)} for split, count in clips.items()}


@pytest.mark.parametrize(
    ("clips", "mode", "named"),
    [
        ({"train": 1, "valid": 3, "test": 3}, "trainvaltest", "train"),
        ({"train": 1025, "valid": 3, "test": 3}, "trainvaltest", "train"),
        ({"train": 2049, "valid": 3, "test": 3}, "trainvaltest", "train"),
        ({"fold00": 500, "fold01": 525, "fold02": 10, "fold03": 20}, "presplit_kfold", "fold02 and fold03"),
        ({"fold00": 9, "fold01": 9, "fold02": 1}, "new_split_kfold", "fold00 and fold01"),
    ],
)
def test_a_last_batch_of_one_clip_is_refused_before_any_work(
    tmp_path: Path, task: Task, clips: dict[str, int], mode: str, named: str
) -> None:
    splits = many(clips)
    missing = {clip: tmp_path / "missing.wav" for own in splits.values() for clip in own}
    with pytest.raises(ValueError, match=rf"pets-v1-full.*{named}.*batch"):
        write_task(replace(task, splits=splits, split_mode=mode), missing, tmp_path / "tasks", sample_rate=RATE)
    # Frames are not clips, and how many there are is for the model to say: the search goes on to the audio.
    event = replace(task, splits=splits, split_mode=mode, embedding_type="event")
    with pytest.raises(ValueError, match=r"missing\.wav"):
        write_task(event, missing, tmp_path / "tasks", sample_rate=RATE)
    assert names(tmp_path) == []


def test_a_grid_of_the_task_s_own_has_its_own_batches(tmp_path: Path, task: Task) -> None:
    splits = many({"train": 65, "valid": 3, "test": 3})
    missing = {clip: tmp_path / "missing.wav" for own in splits.values() for clip in own}
    grid = {"evaluation_params": {"task_specific_param_grid": {"batch_size": [1024, 64]}}}
    with pytest.raises(ValueError, match=r"\b64\b"):
        write_task(replace(task, splits=splits, extra=grid), missing, tmp_path / "tasks", sample_rate=RATE)


def test_the_folder_is_what_heareval_reads(tmp_path: Path, write: Any, task: Task, sources: dict[str, Path]) -> None:
    written = write(task)
    folder = tmp_path / "out" / "tasks" / "pets-v1-full"
    assert written == WriteReport(folder, clips=4, trimmed=1, padded=1)
    assert names(tmp_path / "out") == ["tasks"]
    assert names(folder.parent) == ["pets-v1-full"]
    assert names(folder) == [
        "8000",
        "labelvocabulary.csv",
        "task_metadata.json",
        "test.json",
        "train.json",
        "valid.json",
    ]
    assert {split: json.loads((folder / f"{split}.json").read_text()) for split in SPLITS} == SPLITS
    with (folder / "labelvocabulary.csv").open() as stream:
        assert list(csv.DictReader(stream)) == [{"idx": "0", "label": "cat"}, {"idx": "1", "label": "dog"}]
    metadata = json.loads((folder / "task_metadata.json").read_text())
    del metadata["build"]
    assert metadata == {
        "task_name": "pets",
        "version": "v1",
        "mode": "full",
        "embedding_type": "scene",
        "prediction_type": "multilabel",
        "split_mode": "trainvaltest",
        "splits": ["train", "valid", "test"],
        "sample_duration": 0.25,
        "evaluation": ["mAP"],
        "note": "kept",
    }
    for split, clips in SPLITS.items():
        for clip in clips:
            samples, rate = soundfile.read(folder / "8000" / split / clip, dtype="int16")
            original = soundfile.read(sources[clip], dtype="int16")[0]
            assert (rate, samples.shape) == (RATE, (2000,))
            kept = min(2000, len(original))
            np.testing.assert_array_equal(samples[:kept], original[:kept])
            assert not samples[kept:].any()
    assert validate_task(folder) == []


def test_resampling_beyond_full_scale_is_counted(tmp_path: Path, task: Task, write: Any, sources: Any) -> None:
    square = np.where(np.arange(11_025) % 100 < 50, 0.999, -0.999)
    soundfile.write(sources["a.wav"], square, 44_100)
    assert write(task).limited == 1
    assert np.abs(soundfile.read(tmp_path / "out/tasks/pets-v1-full/8000/train/a.wav", dtype="int16")[0]).max() >= 32767


def test_the_same_input_is_not_written_again(write: Any, task: Task, sources: dict[str, Path]) -> None:
    folder = write(task).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    os.utime(sources["a.wav"], (1, 1))  # what counts is the content
    assert write(task) == WriteReport(folder, clips=4, reused=True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_other_labels_take_over_the_audio(write: Any, task: Task) -> None:
    before = (write(task).folder / "8000/train/a.wav").stat().st_ino
    other = replace(task, splits={**SPLITS, "valid": {"c.wav": []}})
    assert write(other).linked
    folder = write(other).folder
    assert json.loads((folder / "valid.json").read_text()) == {"c.wav": []}
    assert (folder / "8000/train/a.wav").stat().st_ino == before


def test_other_audio_or_length_is_written_again(write: Any, task: Task, sources: Any, write_noise: Any) -> None:
    write(task)
    write_noise(sources["a.wav"], 0.25, RATE, seed=99)
    written = write(task)
    assert (written.reused, written.linked) == (False, False)
    samples = soundfile.read(written.folder / "8000/train/a.wav", dtype="int16")[0]
    np.testing.assert_array_equal(samples, soundfile.read(sources["a.wav"], dtype="int16")[0])
    longer = write(replace(task, sample_duration=0.5))
    assert (longer.linked, longer.padded) == (False, 4)
    (longer.folder / "8000/train/a.wav").unlink()
    assert not write(replace(task, sample_duration=0.5)).reused


def test_a_second_task_links_to_the_first_ones_audio(write: Any, task: Task, monkeypatch: Any) -> None:
    first = write(task).folder
    # the clips may stand in other splits there
    everything = {clip: labels for clips in SPLITS.values() for clip, labels in clips.items()}
    places = {"train": ("d.wav", "c.wav"), "valid": ("a.wav",), "test": ("b.wav",)}
    shuffled = {split: {clip: everything[clip] for clip in clips} for split, clips in places.items()}
    second = write(replace(task, name="pets2", splits=shuffled))
    assert second.linked
    assert (second.folder / "8000/train/c.wav").stat().st_ino == (first / "8000/valid/c.wav").stat().st_ino

    def no_links(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", no_links)
    third = write(replace(task, name="pets3"))
    assert third.linked
    assert (third.folder / "8000/test/d.wav").read_bytes() == (first / "8000/test/d.wav").read_bytes()
    assert (third.folder / "8000/test/d.wav").stat().st_ino != (first / "8000/test/d.wav").stat().st_ino


def test_folds_and_events(write: Any, task: Task) -> None:
    event = {"label": "cat", "start": 0.0, "end": 120.5}
    folds: Any = {f"fold{n:02d}": {clip: [event]} for n, clip in enumerate(("a.wav", "b.wav", "c.wav"))}
    written = write(
        replace(
            task,
            splits=folds,
            embedding_type="event",
            split_mode="presplit_kfold",
            evaluation=["event_onset_200ms_fms"],
            vocabulary=["cat"],
            sample_duration=None,
        )
    )
    assert (written.clips, written.trimmed, written.padded) == (3, 0, 0)
    assert json.loads((written.folder / "fold01.json").read_text()) == {"b.wav": [event]}
    assert soundfile.info(written.folder / "8000/fold01/b.wav").frames == 800
    assert validate_task(written.folder) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": {"x/a.wav": []}}}, r"'x/a\.wav'.*train"),
        ({"splits": {**SPLITS, "test": {"e.wav": []}}}, r"e\.wav.*test"),
        ({"evaluation": ["f1"]}, r"pets-v1-full.*task_metadata\.json.*'f1'"),
        ({"vocabulary": ["cat"]}, r"train\.json:3: .*'dog'.*b\.wav"),
    ],
)
def test_nothing_is_left_of_a_refused_task(
    tmp_path: Path, write: Any, task: Task, changes: dict[str, Any], message: str
) -> None:
    kept = write(task).folder
    with pytest.raises(ValueError, match=message):
        write(replace(task, **changes))
    assert names(tmp_path / "out") == ["tasks"]
    assert names(tmp_path / "out/tasks") == ["pets-v1-full"]
    assert validate_task(kept) == []


def test_nothing_is_left_of_a_broken_clip(tmp_path: Path, write: Any, task: Task, sources: dict[str, Path]) -> None:
    sources["b.wav"].write_bytes(b"no audio")
    with pytest.raises(ValueError, match=r"b\.flac"):
        write(task)
    sources["b.wav"].unlink()
    with pytest.raises(ValueError, match=r"b\.flac.*b\.wav"):
        write(task)
    assert names(tmp_path) == ["data", "out"] if (tmp_path / "out").exists() else ["data"]
    assert not (tmp_path / "out").exists() or not names(tmp_path / "out")


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path, write: Any, task: Task) -> None:
    theirs = tmp_path / "out/tasks/pets-v1-full"
    theirs.mkdir(parents=True)
    (theirs / "task_metadata.json").write_text("{}")
    with pytest.raises(ValueError, match="pets-v1-full"):
        write(task)
    assert names(theirs) == ["task_metadata.json"]


def test_a_mounted_tasks_folder_is_built_inside(tmp_path: Path, write: Any, task: Task, monkeypatch: Any) -> None:
    monkeypatch.setattr(task_folder.os.path, "ismount", lambda path: Path(path).name == "tasks")
    write(task)
    assert names(tmp_path / "out/tasks") == ["pets-v1-full"]
