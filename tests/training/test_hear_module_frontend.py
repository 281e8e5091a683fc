"""From audio over latents of a HEAR module to a checkpoint that is a HEAR module, through the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.encoder import VIEWS
from hear_multiview.references import mel_statistics, random_projection
from sonyc_tasks.hear_format import Task, write_task
from sonyc_tasks.synthesis import synthesize
from training.__main__ import main
from training.pretrain import pretrain
from training.recipes import recipe_named
from training.store import LatentStore

Run = Callable[..., subprocess.CompletedProcess[str]]
REFERENCES = pytest.mark.parametrize(
    "module", [mel_statistics, random_projection], ids=lambda module: module.__name__.rsplit(".", 1)[1]
)
#: Frames from time 0 to the end of the clip: one more than there are hops.
ONE_MORE = """
import torch
from hear_multiview.references import random_projection
from hear_multiview.references.random_projection import HOP, get_scene_embeddings, load_model


def get_timestamp_embeddings(audio, model):
    frames, times = random_projection.get_timestamp_embeddings(torch.nn.functional.pad(audio, (HOP // 2, HOP)), model)
    keep = audio.shape[1] // HOP + 1
    return frames[:, :keep], times[:, :keep] - times[0, 0]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "data"
    return synthesize(folder, sensors=5, clips_per_sensor=4, seconds=1.5, workers=1, progress=False)


def latents(data: Path, store: Path, *options: str) -> int:
    return main(["latents", str(data), "--store", str(store), "--min-probe-clips", "1", *options])


def trained(name: str, data: Path, folder: Path) -> Path:
    """A checkpoint of a tiny run, in ``folder`` with its latents."""
    assert latents(data, folder / "latents", "--frontend", f"hear:{name}") == 0
    recipe = replace(recipe_named("demo"), epochs=2, width=8)
    return pretrain(recipe, LatentStore(folder / "latents"), folder / "runs").checkpoint


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = synthesize(tmp_path / "data", sensors=3, clips_per_sensor=2, seconds=1.0, workers=1, progress=False)
    arguments = ["latents", str(data), "--store", str(tmp_path / "store"), "--min-probe-clips", "1"]
    assert main([*arguments, "--frontend", "hear:no_such_module"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: front end hear:no_such_module: module")
    assert not (tmp_path / "store").exists()
    with pytest.raises(SystemExit):
        main(["latents", "--help"])
    assert "hear:<module>" in capsys.readouterr().out


@REFERENCES
def test_from_audio_to_embeddings(module: ModuleType, tmp_path: Path) -> None:
    path = trained(module, tmp_path)
    store = LatentStore(tmp_path / f"{module.__name__}-latents")
    assert (store.length == round(1.5 * module.SAMPLE_RATE / module.HOP)).all()
    about = {"name": named(module), "hop": module.HOP, "sample_rate": module.SAMPLE_RATE, "precision": "fp32"}
    assert about.items() <= checkpoint.load(path).card["frontend"].items()
    assert main(["latents", str(tmp_path / "data"), "--store", str(store.path), "--frontend", "demo"]) == 1

    audio = sound(module.SAMPLE_RATE, 2, 0.9)
    expected, times = module.get_timestamp_embeddings(audio, module.load_model())
    for view in VIEWS:
        model = hear_multiview.load_model(path, view=view)
        size = expected.shape[2] if view in ("joint", "frontend") else expected.shape[2] // 2
        assert (model.sample_rate, model.scene_embedding_size) == (module.SAMPLE_RATE, size)
        frames, found_times = hear_multiview.get_timestamp_embeddings(audio, model)
        assert frames.shape == (*times.shape, size)
        assert torch.equal(found_times, times)
        assert torch.isfinite(frames).all()
        scene = hear_multiview.get_scene_embeddings(audio, model)
        torch.testing.assert_close(scene, frames.mean(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(frames, expected)  # the last view is the front end's own


def test_every_frame_of_such_a_module_is_stored(theirs: ModuleType, tmp_path: Path) -> None:
    path = trained(theirs, tmp_path)
    store = LatentStore(tmp_path / "theirs-latents")
    assert (store.length == 151).all()  # 1.5 s hold 150 hops
    assert hear_multiview.load_model(path, view="shared").scene_embedding_size == 3


@pytest.mark.slow
@REFERENCES
def test_the_validator_says_looks_good(module: ModuleType, python: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "c.safetensors", load_frontend(named(module)))
    done = python("-m", "hearvalidator.validate", "hear_multiview", "--model", str(path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Looks good!")


@pytest.mark.slow
def test_heareval_takes_the_checkpoint(python: Run, tmp_path: Path) -> None:
    module = random_projection
    path = trained(module, tmp_path)
    labels: dict[str, dict[str, list[str]]] = {"train": {}, "valid": {}, "test": {}}
    sources = {}
    for number in range(12):
        label = ("low", "high")[number % 2]
        tone = 0.1 * np.sin(2 * np.pi * {"low": 300, "high": 3000}[label] * np.arange(16_000) / 16_000)
        sources[name := f"{number}.wav"] = tmp_path / name
        soundfile.write(tmp_path / name, tone + 0.001 * np.random.default_rng(number).normal(size=16_000), 16_000)
        labels[("train", "train", "valid", "test")[number // 2 % 4]][name] = [label]
    task = Task("tones", ("low", "high"), labels, "multiclass", ("top1_acc",), sample_duration=1.0)
    write_task(task, sources, tmp_path / "tasks", sample_rate=module.SAMPLE_RATE, workers=1)

    def step(*arguments: str) -> None:
        done = python("-m", "sonyc_tasks.heareval", *arguments, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
        assert done.returncode == 0, done.stderr[-3000:]

    step("embeddings", "hear_multiview", "--tasks-dir", "tasks", "--model", str(path))
    (embedded,) = tmp_path.glob("embeddings/hear_multiview/tones*")
    step("predictions", str(embedded), "--grid", "faster", "--grid-points", "1")
    test = sorted(labels["test"])
    audio = torch.from_numpy(np.stack([soundfile.read(sources[name], dtype="float32")[0] for name in test]))
    expected = hear_multiview.get_scene_embeddings(audio, hear_multiview.load_model(path))
    found = np.stack([np.load(embedded / "test" / f"{name}.embedding.npy") for name in test])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
    scores = json.loads((embedded / "test.predicted-scores.json").read_text())
    assert 0 <= scores["test"]["test_top1_acc"] <= 1
