"""The linear probe: it finds what is there, nothing that is not, and tests no clip on itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hear_multiview import load_model
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.scores.metrics import accuracy, mean_average_precision
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.frame_probe import frame_probe, frame_statistics

#: 60 clips of three sensors; about half of them have a source.
CLIPS = [
    Clip(f"{k}.wav", k % 3, Path("nowhere"), (COARSE[-1],) if some else ())
    for k, some in enumerate(np.random.default_rng(0).random(60) < 0.5)
]


def normal(*size: int) -> np.ndarray:
    """Seeded here, so that no test depends on what another has drawn."""
    return np.random.default_rng(1).normal(size=size)


def test_what_is_in_the_features_is_found() -> None:
    labels = np.array([[clip.sensor == 0, clip.sensor == 1, bool(clip.sources)] for clip in CLIPS], float)
    found = frame_probe(labels + 0.1 * normal(*labels.shape), CLIPS)
    assert accuracy(found[SENSOR_TASK].target, found[SENSOR_TASK].prediction) == 1
    assert mean_average_precision(found[SOURCE_TASK].target, found[SOURCE_TASK].prediction) > 0.99
    assert found[SOURCE_TASK].target.shape == (60, 1)  # the classes that no clip has are left out


def test_of_noise_nothing_is_learned_although_there_is_enough_of_it_to_remember_every_clip() -> None:
    found = frame_probe(normal(60, 200), CLIPS)
    assert accuracy(found[SENSOR_TASK].target, found[SENSOR_TASK].prediction) < 0.6


@pytest.mark.parametrize("name", [None, "demo"])
def test_statistics_are_those_of_the_frames(tmp_path: Path, name: str | None) -> None:
    path = tmp_path / "a.wav"
    front = load_model(view="frontend", frontend=name)
    soundfile.write(path, 0.1 * normal(22_050), front.sample_rate)  # nothing is resampled
    audio = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[None]
    frames = front.frames(audio)[0][0].numpy()
    expected = np.concatenate([frames.mean(0), frames.std(0)])
    np.testing.assert_allclose(frame_statistics(front, [Clip("a", 0, path, ())])[0], expected, atol=1e-5)
