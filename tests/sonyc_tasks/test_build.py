from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import soundfile

from sonyc_tasks.annotations import Clip, read_clips
from sonyc_tasks.build import GRID_POINTS, HEAREVAL_GRIDS, PAPER_GRID, build, choose_split
from sonyc_tasks.splits import SensorSplit, published_split
from sonyc_tasks.taxonomy import COARSE
from sonyc_tasks.validate import errors_of, validate_task

NO_COUNTS = {"train": None, "valid": None, "probe": None}


@pytest.fixture(scope="module")
def tasks(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build(dataset, tmp_path_factory.mktemp("built") / "tasks", min_probe_clips=10, probe_sensors=3)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, list[str]]]]:
    metadata = json.loads((folder / "task_metadata.json").read_text())
    return metadata, {split: json.loads((folder / f"{split}.json").read_text()) for split in metadata["splits"]}


def test_two_sound_tasks_and_nothing_else(tasks: list[Path]) -> None:
    assert [folder.name for folder in tasks] == ["sonyc_source-v1-full", "sonyc_sensor-v1-full"]
    assert sorted(path.name for path in tasks[0].parent.iterdir()) == ["sonyc_sensor-v1-full", "sonyc_source-v1-full"]
    assert all(errors_of(validate_task(folder)) == [] for folder in tasks)


def test_the_source_task_holds_the_labels_of_the_probe_sensors_clips(tasks: list[Path], dataset: Path) -> None:
    metadata, splits = read(tasks[0])
    assert metadata["prediction_type"] == "multilabel"
    assert metadata["evaluation"][0] == "mAP"
    assert metadata["sample_duration"] == 0.25
    vocabulary = (tasks[0] / "labelvocabulary.csv").read_text().splitlines()
    assert vocabulary == ["idx,label", *(f"{index},{name}" for index, name in enumerate(COARSE))]
    expected = {
        clip.name: list(clip.sources)
        for clip in read_clips(dataset)
        if clip.sensor in metadata["sensor_split"]["probe"]
    }
    assert {clip: labels for own in splits.values() for clip, labels in own.items()} == expected
    assert [] in expected.values()  # clips without a source are clips of the task


def test_the_sensor_task_has_the_same_clips_and_files(tasks: list[Path]) -> None:
    (source, source_splits), (sensor, sensor_splits) = map(read, tasks)
    assert sensor["prediction_type"] == "multiclass"
    assert sensor["evaluation"] == ["top1_acc"]
    assert sensor["sensor_split"] == source["sensor_split"]
    for split, clips in sensor_splits.items():
        assert list(clips) == list(source_splits[split])
        assert all(labels == [f"sensor_{clip[:2]}"] for clip, labels in clips.items())
        for clip in clips:
            files = [folder / "44100" / split / clip for folder in tasks]
            assert files[0].samefile(files[1])
            info = soundfile.info(files[0])
            assert (info.samplerate, info.channels, info.frames, info.subtype) == (44_100, 1, 11_025, "PCM_16")


def test_no_pretraining_sensor_is_evaluated(tasks: list[Path]) -> None:
    metadata, splits = read(tasks[0])
    roles = metadata["sensor_split"]
    evaluated = {int(clip[:2]) for own in splits.values() for clip in own}
    assert evaluated == set(roles["probe"])
    assert not evaluated & {*roles["train"], *roles["valid"]}
    assert roles["rule"].startswith("3 probe sensors drawn from the 6")


def test_a_second_build_reuses_and_says_so(tasks: list[Path], dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        build(dataset, tasks[0].parent, min_probe_clips=10, probe_sensors=3)
    for folder in tasks:
        assert f"{folder}: already there; 32 train, 11 valid, 11 test clips" in caplog.messages


def test_a_given_split_length_and_rate(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = SensorSplit(train=(0,), valid=(1,), probe=(4, 5), rule="mine")
    with caplog.at_level(logging.INFO):
        folder = build(dataset, tmp_path / "tasks", split=split, seconds=0.2, sample_rate=16_000)[0]
    metadata, splits = read(folder)
    assert metadata["sensor_split"]["rule"] == "mine"
    assert "36 trimmed" in caplog.text
    assert soundfile.info(folder / "16000" / "train" / next(iter(splits["train"]))).frames == 3200


def test_area_under_the_curve_is_only_asked_for_where_it_is_defined(tmp_path: Path, write_dataset: Any) -> None:
    root = write_dataset(tmp_path / "data", dict.fromkeys(range(4), 54), seconds=0.02)
    assert read(build(root, tmp_path / "a")[0])[0]["evaluation"] == ["mAP", "aucroc"]
    root = write_dataset(tmp_path / "few", dict.fromkeys(range(4), 5), seconds=0.02)
    assert read(build(root, tmp_path / "b", min_probe_clips=5)[0])[0]["evaluation"] == ["mAP"]


def test_the_published_split_serves_the_published_sensors() -> None:
    sensors = published_split().sensors
    clips = [Clip(f"{sensor:02d}_{n}.wav", sensor, Path("x"), ()) for sensor in (*sensors, 54) for n in range(20)]
    assert choose_split(clips, NO_COUNTS) == published_split()
    assert choose_split(clips, NO_COUNTS, seed=1) == published_split()
    assert choose_split(clips, {**NO_COUNTS, "probe": 12}) != published_split()
    fewer = [clip for clip in clips if clip.sensor != sensors[0]]
    assert choose_split(fewer, NO_COUNTS).rule.startswith("12 probe sensors drawn from the 55")


def test_the_papers_grid_is_written_when_asked_for(tasks: list[Path], dataset: Path, tmp_path: Path) -> None:
    folders = build(dataset, tmp_path / "tasks", min_probe_clips=10, probe_sensors=3, grid="paper")
    for plain, folder in zip(tasks, folders, strict=True):
        metadata = read(folder)[0]
        assert metadata.pop("evaluation_params") == {"task_specific_param_grid": PAPER_GRID}
        assert {**metadata, "build": None} == {**read(plain)[0], "build": None}


def test_heareval_has_the_grids_that_we_speak_of() -> None:
    probes = pytest.importorskip("heareval.predictions.task_predictions")
    from heareval.predictions.runner import runner
    from sklearn.model_selection import ParameterGrid

    grids = {"default": probes.PARAM_GRID, "fast": probes.FAST_PARAM_GRID, "faster": probes.FASTER_PARAM_GRID}
    assert {name: len(ParameterGrid(grid)) for name, grid in grids.items()} == HEAREVAL_GRIDS
    assert next(option.default for option in runner.params if option.name == "grid_points") == GRID_POINTS
    for grid in grids.values():
        first, second = ParameterGrid({**grid, **PAPER_GRID})
        assert {key for key in first if first[key] != second[key]} == {"initialization"}
        assert first.keys() == probes.PARAM_GRID.keys()
    assert all(value in probes.PARAM_GRID[key] for key, values in PAPER_GRID.items() for value in values)


def test_errors(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the sensor split names sensors 9, which have no clips in this data set"):
        build(dataset, tmp_path / "tasks", split=SensorSplit((0,), (1,), (5, 9)))
    with pytest.raises(ValueError, match="sample rates of 0 Hz and None s a clip make no audio; give positive numbers"):
        build(dataset, tmp_path / "tasks", sample_rate=0)
    with pytest.raises(ValueError, match="only 0 sensors have the 20 clips that a probe sensor needs"):
        build(dataset, tmp_path / "tasks")
    with pytest.raises(ValueError, match="there is no grid 'fast'; choose heareval or paper"):
        build(dataset, tmp_path / "tasks", grid="fast")
    assert not (tmp_path / "tasks").exists()


def test_real_clips_build(real_clips: Path, tmp_path: Path) -> None:
    for folder in build(real_clips, tmp_path / "tasks", probe_sensors=4, min_probe_clips=10, seconds=1.0):
        assert errors_of(validate_task(folder)) == []
