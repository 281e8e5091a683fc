from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import soundfile

from sonyc_tasks.dataset.annotations import Clip, read_clips
from sonyc_tasks.dataset.splits import SensorSplit, published_split
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.tasks.sonyc import GRID_POINTS, HEAREVAL_GRIDS, PAPER_GRID, build, choose_split, named
from sonyc_tasks.tasks.validate.task import errors_of, validate_task

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
        (line,) = (line for line in caplog.messages if str(folder) in line)
        assert "already there" in line
        assert "32 train, 11 valid, 11 test clips" in line


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


def copied(root: Path, pairs: dict[str, str]) -> Path:
    """``root`` with the audio of some clips in place of others': {name: whose audio}."""
    for name, other in pairs.items():
        (root / "audio" / name).write_bytes((root / "audio" / other).read_bytes())
    return root


def test_the_same_recording_stays_in_one_set(tmp_path: Path, write_dataset: Any) -> None:
    """Of sensors 2 and 3, clips 21 to 60, every clip with an even number has the audio of the one before."""
    root = write_dataset(tmp_path / "data", dict.fromkeys(range(4), 15), seconds=0.02)
    twins = {f"{2 + (n > 45):02d}_{n:06d}.wav": f"{2 + (n > 46):02d}_{n - 1:06d}.wav" for n in range(32, 61, 2)}
    copied(root, twins)
    split = SensorSplit((0,), (1,), (2, 3))
    with pytest.warns(UserWarning, match=r"02_000031\.wav = 02_000032\.wav.*12 more"):
        folder = build(root, tmp_path / "tasks", split=split)[0]
    place = {clip: name for name, clips in read(folder)[1].items() for clip in clips}
    assert len(place) == 30
    assert all(place[name] == place[other] for name, other in twins.items())
    assert not [finding for finding in validate_task(folder) if "same recording" in finding]


def test_pretraining_and_probes_share_no_recording(tmp_path: Path, write_dataset: Any) -> None:
    root = write_dataset(tmp_path / "data", dict.fromkeys(range(4), 6), seconds=0.02)
    copied(root, {"03_000020.wav": "00_000002.wav"})
    with pytest.raises(ValueError, match=r"00_000002\.wav \(sensor 0, train\) = 03_000020\.wav \(sensor 3, probe\)"):
        build(root, tmp_path / "tasks", split=SensorSplit((0,), (1,), (2, 3)))
    assert not (tmp_path / "tasks").exists()
    with pytest.warns(UserWarning, match="same recording"):
        build(root, tmp_path / "tasks", split=SensorSplit((1,), (), (0, 2, 3)))


def test_copies_are_not_clips_enough(tmp_path: Path, write_dataset: Any) -> None:
    root = write_dataset(tmp_path / "data", {0: 6, 1: 6, 2: 6, 3: 4, 4: 6}, seconds=0.02)
    copied(root, {"03_000020.wav": "03_000019.wav", "03_000021.wav": "03_000019.wav"})
    with pytest.warns(UserWarning, match=r"\b3\b.*left out"):
        folder = build(root, tmp_path / "tasks", split=SensorSplit((0,), (1,), (2, 3, 4)))[1]
    labels = {label for own in read(folder)[1]["train"].values() for label in own}
    assert labels == {"sensor_02", "sensor_04"}


def test_sources_that_cannot_be_learned_or_measured_are_named(
    tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any
) -> None:
    """Two clips have a dog, one has music, none has a saw; all others have every other source."""
    rows = []
    usual = [source for source in COARSE if source not in ("4_powered-saw", "6_music", "8_dog")]
    rare = {1: "8_dog", 2: "8_dog", 3: "6_music"}
    for n in range(24):
        name = f"{n % 4:02d}_{n:06d}.wav"
        write_noise(tmp_path / "data" / "audio" / name, 0.02, seed=n)
        rows.append(annotation(name, n % 4, 0, [rare.get(n, usual[0]), *usual]))
    write_annotations(tmp_path / "data", rows)
    with pytest.warns() as warned:
        folder = build(tmp_path / "data", tmp_path / "tasks", split=SensorSplit((), (), (0, 1, 2, 3)))[0]
    splits = read(folder)[1]
    with_dog = {name for name, clips in splits.items() for sources in clips.values() if "8_dog" in sources}
    assert with_dog == {"train", "test"}
    test, train = (
        next(str(w.message) for w in warned if f"{name} set" in str(w.message)) for name in ("test", "train")
    )
    assert ("4_powered-saw" in test, "6_music" in test, "8_dog" in test) == (True, False, False)
    assert ("4_powered-saw" in train, "6_music" in train, "8_dog" in train) == (True, True, False)


def test_names_in_folders_become_plain_ones_or_are_refused() -> None:
    def clip(name: str) -> Clip:
        return Clip(name, 1, Path("audio") / name, ())

    clips = [clip("audio-0/rec_001.wav"), clip("audio-1/rec_001.wav"), clip("rec_001.wav")]
    assert named(clips) == {
        "audio-0_rec_001.wav": clips[0].path,
        "audio-1_rec_001.wav": clips[1].path,
        "rec_001.wav": clips[2].path,
    }
    for other in ("audio-0_rec_001.wav", "audio-0/rec_001.flac"):
        with pytest.raises(ValueError, match=rf"audio-0/rec_001\.wav and {other}"):
            named([*clips, clip(other)])


def test_errors(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\b9\b"):
        build(dataset, tmp_path / "tasks", split=SensorSplit((0,), (1,), (5, 9)))
    with pytest.raises(ValueError, match="0 Hz"):
        build(dataset, tmp_path / "tasks", sample_rate=0)
    with pytest.raises(ValueError, match=r"\b0\b.*\b20\b.*min_probe_clips"):
        build(dataset, tmp_path / "tasks")
    with pytest.raises(ValueError, match=r"'fast'.*heareval.*paper"):
        build(dataset, tmp_path / "tasks", grid="fast")
    assert not (tmp_path / "tasks").exists()


def test_real_clips_build(real_clips: Path, tmp_path: Path) -> None:
    for folder in build(real_clips, tmp_path / "tasks", probe_sensors=4, min_probe_clips=10, seconds=1.0):
        assert errors_of(validate_task(folder)) == []
