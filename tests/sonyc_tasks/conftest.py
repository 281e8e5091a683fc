"""A tiny data set in the layout of SONYC-UST-V2, for every test of this folder that needs clips."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS

Row = Mapping[str, object]


def annotation(name: str, sensor: int, annotator: int, present: Sequence[str] = ()) -> dict[str, object]:
    """One row of annotations.csv: all coarse classes labelled, those of ``present`` as heard."""
    row: dict[str, object] = dict.fromkeys(COLUMNS, -1)
    row.update(split="train", sensor_id=sensor, audio_filename=name, annotator_id=annotator)
    row.update({f"{coarse}_presence": int(coarse in present) for coarse in COARSE})
    return row


def write_annotations(folder: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_noise(path: Path, seconds: float = 0.25, rate: int = 8000, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(str(path), noise, rate, subtype="PCM_16")


def write_dataset(
    folder: Path, clips_per_sensor: Mapping[int, int], *, seconds: float = 0.25, suffix: str = ".wav"
) -> Path:
    """Noise clips, three volunteers each; the n-th clip of a sensor has the n-th class, and every ninth clip none."""
    rows, number = [], 0
    for sensor, clips in clips_per_sensor.items():
        for position in range(clips):
            number += 1
            stem = f"{sensor:02d}_{number:06d}"
            write_noise(folder / "audio" / f"{stem}{suffix}", seconds, seed=number)
            present = [COARSE[position % 9]] if position % 9 < len(COARSE) else []
            rows += [annotation(f"{stem}.wav", sensor, volunteer, present) for volunteer in (11, 12, 13)]
    write_annotations(folder, rows)
    return folder


@pytest.fixture(name="annotation")
def annotation_fixture() -> Callable[..., dict[str, object]]:
    return annotation


@pytest.fixture(name="write_annotations")
def write_annotations_fixture() -> Callable[..., Path]:
    return write_annotations


@pytest.fixture(name="write_noise")
def write_noise_fixture() -> Callable[..., None]:
    return write_noise


@pytest.fixture(name="write_dataset")
def write_dataset_fixture() -> Callable[..., Path]:
    return write_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sensors of 18 clips of a quarter second at 8 kHz; read only."""
    return write_dataset(tmp_path_factory.mktemp("dataset"), dict.fromkeys(range(6), 18))
