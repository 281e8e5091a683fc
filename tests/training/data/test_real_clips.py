"""The whole flow on real recordings, through the commands that a user types. Skipped where they are absent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_real_clips_from_latents_to_scores(real_clips: Path, tmp_path: Path, python: Run) -> None:
    def step(*arguments: str) -> str:
        done = python("-m", *arguments, cwd=tmp_path, HEAR_MULTIVIEW_CACHE="frames")
        assert done.returncode == 0, done.stderr
        return done.stdout

    data = str(real_clips)
    sizes = ("--valid-sensors", "1", "--probe-sensors", "4", "--min-probe-clips", "10")
    step("training", "latents", data, *sizes)
    step("training", "pretrain", "--recipe", "demo")
    (checkpoint,) = tmp_path.glob("runs/*/checkpoint.safetensors")
    step("sonyc_tasks", "build", data, "--split", "latents/split.json")
    step("sonyc_tasks", "validate", *map(str, sorted((tmp_path / "tasks").iterdir())))
    step("heareval.embeddings.runner", "hear_multiview", "--tasks-dir", "tasks", "--model", str(checkpoint))
    embeddings = sorted(map(str, tmp_path.glob("embeddings/*/*")))
    step("heareval.predictions.runner", *embeddings, "--grid", "fast", "--grid-points", "1")
    table = step("sonyc_tasks", "score", "embeddings", "--json", "scores.json")
    assert "| joint " in table
    (model,) = json.loads((tmp_path / "scores.json").read_text())
    (view,) = model["views"]
    # Four sensors by chance are .25; a mean spectrum alone gives more than this.
    assert view["sensor_accuracy"]["value"] > 0.4
    assert view["source_map"]["clips"] == view["sensor_accuracy"]["clips"] >= 10
