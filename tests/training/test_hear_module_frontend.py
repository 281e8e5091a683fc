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

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.encoders.private_shared import VIEWS
from hear_multiview.frontends import load_frontend
from hear_multiview.references import mel_statistics, random_projection
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.task_folder import Task, write_task
from training.__main__ import main
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.recipes import recipe_named
from training.systems.multiview.data import extract_sensors

Run = Callable[..., subprocess.CompletedProcess[str]]
REFERENCES = pytest.mark.parametrize(
    "module", [mel_statistics, random_projection], ids=lambda module: module.__name__.rsplit(".", 1)[1]
)
#: Frames from time 0 to the end of the clip: one more than there are hops.
ONE_MORE = """
import torch
from hear_multiview.references import random_projection
from hear_multiview.references.random_projection import HOP_LENGTH, get_scene_embeddings, load_model


def get_timestamp_embeddings(audio, model):
    padded = torch.nn.functional.pad(audio, (HOP_LENGTH // 2, HOP_LENGTH))
    frames, times = random_projection.get_timestamp_embeddings(padded, model)
    keep = audio.shape[1] // HOP_LENGTH + 1
    return frames[:, :keep], times[:, :keep] - times[0, 0]
"""


#: A module that takes no more than 2 s, and no silence.
CHOOSY = """
from hear_multiview.references import random_projection
from hear_multiview.references.random_projection import get_scene_embeddings, load_model


def get_timestamp_embeddings(audio, model):
    if audio.shape[1] > 2 * 16_000 or not audio.any():
        raise RuntimeError("no such clip")
    return random_projection.get_timestamp_embeddings(audio, model)
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with generated recordings in ``data``."""
    folder = tmp_path_factory.mktemp("work")
    synthesize(folder / "data", sensors=5, clips_per_sensor=4, seconds=1.5, workers=1, progress=False)
    return folder


def latents(work: Path, store: Path | str, name: str) -> int:
    """The exit status of the command."""
    sensors = ["--train-sensors", "2", "--valid-sensors", "1", "--probe-sensors", "2", "--min-probe-clips", "3"]
    return main(["latents", str(work / "data"), "--store", str(store), "--frontend", name, *sensors])


def trained(work: Path, module: str) -> tuple[LatentStore, Path]:
    """Store and checkpoint of a tiny run; both are made once in ``work``."""
    folder = work / module
    assert latents(work, folder / "latents", f"hear:{module}") == 0
    store = LatentStore(folder / "latents")
    tiny = replace(recipe_named("demo"), epochs=2, model={"width": 8, "depth": 2})
    return store, pretrain(tiny, store, folder / "runs").checkpoint


def test_the_command_says_what_is_wrong(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert latents(work, tmp_path / "store", "hear:no_such_module") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: front end hear:no_such_module: module")
    assert not (tmp_path / "store").exists()
    with pytest.raises(SystemExit):
        main(["latents", "--help"])
    assert "hear:<module>" in capsys.readouterr().out


@REFERENCES
def test_from_audio_to_embeddings(module: ModuleType, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"hear:{module.__name__}"
    store, path = trained(work, module.__name__)
    assert (store.lengths(range(len(store.clips))) == round(1.5 * module.SAMPLE_RATE / module.HOP_LENGTH)).all()
    about = {"name": name, "hop": module.HOP_LENGTH, "sample_rate": module.SAMPLE_RATE, "precision": "fp32"}
    assert about.items() <= checkpoint.load(path).card["frontend"].items()
    assert latents(work, store.path, "demo") == 1
    assert "another frontend" in capsys.readouterr().err

    audio = 0.1 * torch.randn(2, module.SAMPLE_RATE * 9 // 10, generator=torch.Generator().manual_seed(0))
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
    torch.testing.assert_close(frames, expected, atol=1e-4, rtol=1e-4)  # the last view is the front end's own


def test_every_frame_is_stored(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_more.py").write_text(ONE_MORE)
    monkeypatch.syspath_prepend(tmp_path)
    store, path = trained(work, "one_more")
    assert (store.lengths(range(len(store.clips))) == 61).all()  # 1.5 s hold 60 hops of 25 ms
    model = hear_multiview.load_model(path)
    _, times = hear_multiview.get_timestamp_embeddings(torch.rand(1, 16_000), model)
    assert times[0].tolist() == [25.0 * frame for frame in range(41)]
    monkeypatch.delitem(sys.modules, "one_more")


@pytest.mark.parametrize(("odd", "seconds", "level"), [(2, 3, 0.1), (1, 1, 0.0)], ids=["too long", "silent"])
def test_a_clip_that_a_module_cannot_take_is_named(
    odd: int, seconds: int, level: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "choosy.py").write_text(CHOOSY)
    monkeypatch.syspath_prepend(tmp_path)
    clips = []
    for number in range(4):
        length, scale = (seconds, level) if number == odd else (1, 0.1)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, scale * np.random.default_rng(number).uniform(-1, 1, length * 16_000), 16_000)
        clips.append(Clip(path.name, number % 2, path, ()))
    front = load_frontend("hear:choosy")
    with pytest.raises(ValueError, match=rf"\b{odd}\.wav: front end hear:choosy .*\b{seconds} s .*\(no such clip\)"):
        extract_sensors(clips, SensorSplit((0,), (1,), (2, 3)), front, tmp_path / "store")
    monkeypatch.delitem(sys.modules, "choosy")


@pytest.mark.slow
@REFERENCES
def test_the_validator_says_looks_good(module: ModuleType, work: Path, python: Run, tmp_path: Path) -> None:
    _, path = trained(work, module.__name__)
    done = python("-m", "hearvalidator.validate", "hear_multiview", "--model", str(path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Looks good!")


@pytest.mark.slow
def test_heareval_takes_the_checkpoint(work: Path, python: Run, tmp_path: Path) -> None:
    rate = random_projection.SAMPLE_RATE
    _, path = trained(work, random_projection.__name__)
    labels: dict[str, dict[str, list[str]]] = {"train": {}, "valid": {}, "test": {}}
    sources = {}
    for number in range(12):
        label = ("low", "high")[number % 2]
        tone = 0.1 * np.sin(2 * np.pi * {"low": 300, "high": 3000}[label] * np.arange(rate) / rate)
        name = f"{number}.wav"
        sources[name] = tmp_path / name
        soundfile.write(sources[name], tone + 0.001 * np.random.default_rng(number).normal(size=rate), rate)
        labels[("train", "train", "valid", "test")[number // 2 % 4]][name] = [label]
    task = Task("tones", ("low", "high"), labels, "multiclass", ("top1_acc",), sample_duration=1.0)
    write_task(task, sources, tmp_path / "tasks", sample_rate=rate, workers=1)

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
