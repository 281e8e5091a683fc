"""Pretraining sees no recording of the probes, whatever the recording's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.splits import SensorSplit
from training.systems.multiview.data import extract_sensors


@pytest.mark.parametrize("twin", [(0, 1), (0, 2), (1, 2)])
def test_a_recording_in_two_parts_is_refused_before_any_work(tmp_path: Path, twin: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(-9000, 9000, (3, 8000)).astype(np.int16)
    noise[twin[1]] = noise[twin[0]]
    clips = []
    for sensor, sound in enumerate(noise):
        path = tmp_path / f"{sensor:02d}_000001.wav"
        soundfile.write(path, sound, 8000)
        clips.append(Clip(path.name, sensor, path, ()))
    first, second = (clips[sensor].name for sensor in twin)
    front = load_frontend("log_mel")
    with pytest.raises(ValueError, match=rf"{first} .* = {second} "):
        extract_sensors(clips, SensorSplit((0,), (1,), (2,)), front, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    store = extract_sensors(clips, SensorSplit((0, 1, 2), (), ()), front, tmp_path / "store")
    assert len(store.clips) == 3
