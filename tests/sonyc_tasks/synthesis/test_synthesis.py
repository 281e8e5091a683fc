"""The generated data set as a whole: layout, determinism, independence of its factors, errors."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.stats import chi2_contingency, f_oneway

from sonyc_tasks import synthesis
from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS, FINE, coarse_of
from sonyc_tasks.synthesis import scene_of, synthesize

OPTIONS: dict[str, Any] = {"sensors": 3, "clips_per_sensor": 6, "seconds": 1.0, "seed": 5, "progress": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("synthesis") / "data", workers=1, **OPTIONS)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_layout_is_that_of_the_real_data_set(data: Path) -> None:
    assert sorted(path.name for path in data.iterdir()) == ["README.txt", "annotations.csv", "audio", "truth.csv"]
    with (data / "annotations.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    names = {path.name for path in (data / "audio").iterdir()}
    annotations = rows(data / "annotations.csv")
    assert names == {row["audio_filename"] for row in annotations}
    assert len(names) == 18
    assert len({name[3:] for name in names}) == 18, "the six digits name a clip in the whole data set"
    for row in annotations:
        assert row["audio_filename"][:2] == f"{int(row['sensor_id']):02d}"
        assert len(row["audio_filename"]) == len("SS_NNNNNN.wav")
        assert row["split"] in {"train", "validate", "test"}
        assert row["borough"] in {"1", "3"}
        assert 40 < float(row["latitude"]) < 41
        assert -75 < float(row["longitude"]) < -73
        assert 0 <= int(row["hour"]) < 24
        assert 1 <= int(row["week"]) <= 52


def test_a_third_of_the_clips_has_ground_truth_and_all_have_three_volunteers(data: Path) -> None:
    people: dict[tuple[str, str], list[int]] = {}
    for row in rows(data / "annotations.csv"):
        people.setdefault((row["audio_filename"], row["split"]), []).append(int(row["annotator_id"]))
    agreed = {clip for clip, present in people.items() if 0 in present}
    assert len(agreed) == len(people) / 3 == 6
    assert agreed == {clip for clip in people if clip[1] == "test"}
    assert all(len({person for person in present if person > 0}) == 3 for present in people.values())


def test_place_belongs_to_the_sensor(data: Path) -> None:
    places = {
        (row["sensor_id"], row["latitude"], row["longitude"], row["block"]) for row in rows(data / "annotations.csv")
    }
    assert len(places) == 3
    assert len({place[1:] for place in places}) == 3


def test_audio_is_48_khz_mono_pcm16_and_neither_silent_nor_clipped(data: Path) -> None:
    for path in (data / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (48_000, 1, "PCM_16", 48_000)
        wave, _ = soundfile.read(path)
        level = 20 * np.log10(wave.std())
        assert -65 < level < -5
        assert np.abs(wave).max() < 1


def test_levels_are_those_of_a_street(data: Path) -> None:
    levels = [20 * np.log10(soundfile.read(path)[0].std()) for path in (data / "audio").iterdir()]
    assert -46 < np.median(levels) < -30  # the real median is -37.8 dBFS


def test_truth_names_every_event_inside_its_clip(data: Path) -> None:
    truth = rows(data / "truth.csv")
    assert tuple(truth[0]) == ("clip", "sensor", "coarse", "fine", "onset_s", "duration_s", "snr_db")
    for row in truth:
        assert row["fine"] in FINE
        assert row["coarse"] == coarse_of(row["fine"])
        assert row["clip"].startswith(f"{int(row['sensor']):02d}_")
        assert float(row["onset_s"]) >= 0
        assert float(row["duration_s"]) > 0
        assert float(row["onset_s"]) + float(row["duration_s"]) <= 1.002


def test_readme_says_generated_with_what(data: Path) -> None:
    text = (data / "README.txt").read_text()
    assert text.count("\n") == 1
    for word in ("generated", "sensors=3", "clips_per_sensor=6", "seconds=1", "seed=5"):
        assert word in text


def test_same_seed_same_bytes_and_more_processes_or_clips_change_nothing(data: Path, tmp_path: Path) -> None:
    more = {**OPTIONS, "sensors": 4, "clips_per_sensor": 7}
    larger = contents(synthesize(tmp_path / "larger", workers=2, **more))
    first = contents(data)
    audio = {name: content for name, content in first.items() if name.startswith("audio")}
    assert {name: larger[name] for name in audio} == audio
    for table in ("annotations.csv", "truth.csv"):
        assert set(first[table].splitlines()) <= set(larger[table].splitlines())
    assert contents(synthesize(tmp_path / "alone", workers=1, **more)) == larger


def test_another_seed_is_another_data_set(data: Path, tmp_path: Path) -> None:
    other = contents(synthesize(tmp_path / "other", workers=1, **{**OPTIONS, "sensors": 1, "seed": 6}))
    first = contents(data)
    assert all(other[name] != first[name] for name in other)


def test_sources_do_not_know_the_sensor(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other sensors in the same places of the data set: every sound changes, no source and no label does."""
    make = synthesis.make_sensor
    synthesis._sensor.cache_clear()
    monkeypatch.setattr(synthesis, "make_sensor", lambda rng, number, *rest: make(rng.spawn(1)[0], number, *rest))
    other = synthesize(tmp_path / "other", workers=1, **OPTIONS)
    synthesis._sensor.cache_clear()
    assert (other / "truth.csv").read_bytes() == (data / "truth.csv").read_bytes()
    labels = [column for column in COLUMNS if "presence" in column or "proximity" in column]
    mine, theirs = (rows(folder / "annotations.csv") for folder in (data, other))
    assert [[row[c] for c in labels] for row in mine] == [[row[c] for c in labels] for row in theirs]
    for path in (data / "audio").iterdir():
        assert path.read_bytes() != (other / "audio" / path.name).read_bytes()


def dependence(present: np.ndarray, sensor: np.ndarray) -> float:
    """The probability of a table of presence against sensor at least this uneven, were they independent."""
    return chi2_contingency([[np.sum(present[sensor == s] == p) for p in (0, 1)] for s in np.unique(sensor)]).pvalue


def test_no_class_goes_with_a_sensor_beyond_chance() -> None:
    sensor = np.repeat(np.arange(20), 100)
    scenes = [scene_of(1, int(s), k, 10.0) for k, s in enumerate(sensor)]
    for coarse in COARSE:
        present = np.array([any(event.coarse == coarse for event in scene) for scene in scenes])
        assert dependence(present, sensor) > 1e-3
        tilted = present | ((sensor < 5) & (np.random.default_rng(0).random(len(sensor)) < 0.3))
        assert dependence(tilted, sensor) < 1e-3, "the test must see a dependence where there is one"
    loudness = [[event.snr for k in range(100) for event in scenes[100 * s + k]] for s in range(20)]
    assert f_oneway(*loudness).pvalue > 1e-3


def test_every_class_is_common_enough_and_clips_hold_about_two() -> None:
    scenes = [scene_of(0, s, k, 10.0) for s in range(20) for k in range(24)]
    classes = [{event.coarse for event in scene} for scene in scenes]
    for coarse in COARSE:
        assert np.mean([coarse in held for held in classes]) > 0.12
    assert 1.5 < np.mean([len(held) for held in classes]) < 2.6
    assert any(not held for held in classes)
    assert {event.fine for scene in scenes for event in scene} == set(FINE)


def test_sensor_is_audible_in_the_mean_spectrum(tmp_path: Path) -> None:
    """Nearest centroid of the log spectrum, each clip left out in turn: far better than chance at naming the sensor."""
    folder = synthesize(tmp_path / "data", sensors=5, clips_per_sensor=6, seconds=4.0, workers=1, progress=False)
    paths = sorted((folder / "audio").iterdir())
    sensor = np.array([int(path.name[:2]) for path in paths])
    features = np.stack([_log_spectrum(soundfile.read(path)[0]) for path in paths])
    assert _nearest_centroid(features, sensor) > 0.5
    by_chance = [_nearest_centroid(features, np.random.default_rng(k).permutation(sensor)) for k in range(5)]
    assert np.mean(by_chance) < 0.35


def _log_spectrum(wave: np.ndarray) -> np.ndarray:
    """Shape of log power in 37 bands [band] in the quietest tenth of the time: what stays of a clip when events go."""
    power = np.abs(np.fft.rfft(wave[: len(wave) // 2400 * 2400].reshape(-1, 2400) * np.hanning(2400), axis=1)) ** 2
    edges = np.unique(np.geomspace(2, 1200, 41).astype(int))
    level = np.log(np.percentile(np.add.reduceat(power, edges[:-1], axis=1), 10, axis=0) + 1e-9)
    return level - level.mean()


def _nearest_centroid(features: np.ndarray, label: np.ndarray) -> float:
    right = 0
    for index in range(len(label)):
        rest = np.arange(len(label)) != index
        names = np.unique(label[rest])
        centres = np.stack([features[rest & (label == name)].mean(0) for name in names])
        right += names[np.argmin(np.linalg.norm(centres - features[index], axis=1))] == label[index]
    return right / len(label)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("sensors", 0), ("sensors", 100), ("clips_per_sensor", 0), ("clips_per_sensor", 10_001), ("seed", -1)),
        *(("seconds", value) for value in (0.0, -1.0, float("nan"), float("inf"))),
        ("workers", 0),
    ],
)
def test_bad_options_are_refused_in_one_sentence(tmp_path: Path, option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{option}.*{value:g}"):
        synthesize(tmp_path / "data", **{**OPTIONS, option: value})
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="data"):
        synthesize(tmp_path / "data", **OPTIONS)
    assert contents(tmp_path) == {"data/mine.txt": b"mine"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    tiny = {**OPTIONS, "sensors": 1, "clips_per_sensor": 1, "seconds": 0.1}
    assert (synthesize(tmp_path / "data", workers=1, **tiny) / "truth.csv").exists()


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(batches: list, workers: int | None) -> Iterator:
        yield synthesis._render(batches[0])
        raise OSError("disk full")

    monkeypatch.setattr(synthesis, "_render_all", breaks)
    with pytest.raises(OSError, match="disk full"):
        synthesize(tmp_path / "data", **OPTIONS)
    assert not list(tmp_path.iterdir())
