"""A linear probe of a data set's own clips: the frames of a front end, scored once and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hear_multiview.embedder import Embedder
from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.sonyc import SENSOR_TASK
from training.probes.frame_probe import frame_probe, frame_statistics
from training.probes.heareval_jobs import Submission
from training.probes.rows import LOG_MEL
from training.systems.sampling.recorded import probe_recorded
from training.systems.sampling.report import RECORDED


def test_log_mel_statistics_are_those_of_the_front_end(tmp_path: Path) -> None:
    synthesize(tmp_path / "data", sensors=3, clips_per_sensor=12, seconds=1.0, seed=0)
    clips = read_clips(tmp_path / "data")
    rows = [Submission("hear_multiview.references.mel_statistics", label=LOG_MEL)]
    found = probe_recorded(clips, rows, tmp_path / "scores", "log_mel", seed=1)
    assert {*found} == {LOG_MEL}
    assert {*found[LOG_MEL]} == {*RECORDED}
    x = frame_statistics(Embedder(load_frontend("log_mel"), None, "frontend"), clips)
    sensor = frame_probe(x, clips, seed=1)[SENSOR_TASK]
    right = np.mean(sensor.prediction.argmax(1) == sensor.target.argmax(1))
    assert found[LOG_MEL]["recorded_sensor"] == right
    kept = tmp_path / "scores" / f"{LOG_MEL}.json"
    before = kept.stat().st_mtime_ns
    assert probe_recorded(clips, rows, tmp_path / "scores", "log_mel", seed=1) == found
    assert kept.stat().st_mtime_ns == before
