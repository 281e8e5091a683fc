"""What is pretrained on: any recordings, in groups by folder, without labels; or sensors that no probe hears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.annotations import Clip as SonycClip
from sonyc_tasks.dataset.splits import SensorSplit
from training.data.unlabelled import extract_clips, recordings, sensor_clips
from training.engine.pretrain import pretrain
from training.recipes import Recipe, recipe_named

RECIPE: Recipe = replace(
    recipe_named("contrastive"), views="two_crops", validation="clips", examples_per_clip=1, epochs=1, crop=30
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve recordings in two folders, one too short, and a text."""
    folder = tmp_path / "mine"
    for k, (place, suffix) in enumerate([("kitchen", "wav"), ("yard/back", "FLAC")] * 6):
        (folder / place).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).normal(0, 0.1, 22_050 * 2)
        soundfile.write(folder / place / f"{k}.{suffix}", noise, 22_050, format=suffix.upper())
    soundfile.write(folder / "short.wav", np.ones(100), 8000)
    (folder / "notes.txt").write_text("nothing to hear")
    return folder


def test_every_recording_below_a_folder_is_one_clip_of_its_folder(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"short\.wav"):
        clips, files = recordings(folder)
    assert {clip.name: clip.group for clip in clips}["yard/back/1.FLAC"] == "yard/back"
    assert len(clips) == len(files) == 12
    assert {clip.group for clip in clips} == {"kitchen", "yard/back"}
    assert not any(clip.labels for clip in clips)


def test_a_folder_without_recordings(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no recordings"):
        recordings(folder / "empty")


@pytest.mark.filterwarnings("ignore:1 recordings")
def test_recordings_can_be_trained_on(folder: Path, tmp_path: Path) -> None:
    clips, files = recordings(folder)
    more = replace(RECIPE, name="other", renditions=("original", "speed(1.1)"))
    front = load_frontend("log_mel")
    store = extract_clips(clips, files, [RECIPE, more], front, tmp_path / "latents", data="mine")
    assert set(store.renditions) == {"original", "speed(1.1)"}
    assert store.about.partition.train == ("kitchen", "yard/back")
    run = pretrain(RECIPE, store, tmp_path / "runs")
    assert np.isfinite(run.history[0]["valid"]["total"])
    with pytest.raises(ValueError, match="other validates on groups"):
        extract_clips(clips, files, [replace(more, validation="groups")], front, tmp_path / "else", data="mine")


def test_sensors_of_the_probes_do_not_train() -> None:
    names = [(f"{k:02d}_{k:06d}.wav", k) for k in range(4)]
    given = [SonycClip(name, sensor, Path(name), ("dog",)) for name, sensor in names]
    clips, files = sensor_clips(given, SensorSplit(train=(0, 3), valid=(1,), probe=(2,)))
    assert [(clip.group, dict(clip.labels)) for clip in clips] == [(0, {}), (1, {}), (3, {})]
    assert names[2][0] not in files
