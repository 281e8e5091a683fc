"""heareval through its launcher: each thing put in place alone, then whole runs in processes of their own."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sklearn.metrics import jaccard_score

from hear_multiview.references import mel_statistics
from sonyc_tasks import heareval as launcher
from sonyc_tasks.hear_format import Event, Task, write_task
from sonyc_tasks.results import load_predictions

Run = Callable[..., subprocess.CompletedProcess[str]]

RATE, CLIPS = mel_statistics.SAMPLE_RATE, 18
#: One small probe a task, and two post-processings of events to choose from. It is validated late: heareval ends the
#: training where the score is NaN, which it is as long as no event is predicted.
EVALUATION_PARAMS = {
    "task_specific_param_grid": {"lr": [1e-3], "max_epochs": [60], "check_val_every_n_epoch": [20], "batch_size": [64]},
    "event_postprocessing_grid": {"median_filter_ms": [50], "min_duration": [50, 700]},
}
#: As sitecustomize on the PYTHONPATH: a machine without TensorFlow.
HIDE_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder


class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "tensorflow" else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python …`` as a user would, with torch's safe loading as torch has it."""
    own = {key: value for key, value in os.environ.items() if key != "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    own |= {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=600, check=False)


def launch(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The launcher, which has to end well."""
    done = start("-m", "sonyc_tasks.heareval", *arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def scores(embedded: Path) -> dict[str, Any]:
    return json.loads((embedded / "test.predicted-scores.json").read_text())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three tasks over the same clips of 1 s, embedded and probed through the launcher."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    names = [f"{number:02d}.wav" for number in range(CLIPS)]
    sounds: dict[str, list[str]] = {}
    bursts: dict[str, list[Event]] = {}
    for number, name in enumerate(names):
        wave = rng.normal(scale=0.005, size=RATE)
        begin = int(rng.integers(0, RATE // 2))
        wave[begin : begin + RATE // 3] *= 30
        if number % 2:
            wave += 0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
        if number % 3 == 0:
            wave += 0.1 * np.sin(2 * np.pi * 5000 * np.arange(RATE) / RATE)
        soundfile.write(folder / name, wave, RATE)
        sounds[name] = ["hum"] * (number % 2) + ["whistle"] * (number % 3 == 0)
        bursts[name] = [{"label": "burst", "start": begin / RATE * 1000, "end": (begin / RATE + 1 / 3) * 1000}]
    thirds = [names[:6], names[6:12], names[12:]]
    sets, folds = ("train", "valid", "test"), ("fold00", "fold01", "fold02")
    kind = dict(prediction_type="multilabel", sample_duration=1.0, extra={"evaluation_params": EVALUATION_PARAMS})
    tasks = [
        Task(
            name="sounds",
            vocabulary=["hum", "whistle"],
            splits={split: {name: sounds[name] for name in third} for split, third in zip(sets, thirds, strict=True)},
            evaluation=["mAP"],
            **kind,  # type: ignore[arg-type]
        ),
        Task(
            name="hum",
            vocabulary=["hum", "none"],
            splits={
                fold: {name: ["hum" if "hum" in sounds[name] else "none"] for name in third}
                for fold, third in zip(folds, thirds, strict=True)
            },
            evaluation=["top1_acc"],
            split_mode="presplit_kfold",
            **{**kind, "prediction_type": "multiclass"},  # type: ignore[arg-type]
        ),
        Task(
            name="bursts",
            vocabulary=["burst"],
            splits={split: {name: bursts[name] for name in third} for split, third in zip(sets, thirds, strict=True)},
            evaluation=["event_onset_200ms_fms", "segment_1s_er"],
            embedding_type="event",
            **kind,  # type: ignore[arg-type]
        ),
    ]
    for task in tasks:
        write_task(task, {name: folder / name for name in names}, folder / "tasks", sample_rate=RATE, workers=1)
    file = folder / "tasks" / "sounds-v1-full" / "task_metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "evaluation": ["jaccard_micro", "mAP"]}))
    launch("embeddings", mel_statistics.__name__, cwd=folder)
    embedded = [str(path.relative_to(folder)) for path in sorted(folder.glob("embeddings/*/*"))]
    assert len(embedded) == 3
    launch("predictions", *embedded, "--grid", "faster", "--grid-points", "1", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def embedded(work: Path) -> Path:
    return work / "embeddings" / mel_statistics.__name__


def test_embeddings_are_the_models(work: Path, embedded: Path) -> None:
    audio = torch.tensor(soundfile.read(work / "tasks/sounds-v1-full" / str(RATE) / "test/12.wav", dtype="float32")[0])
    expected = mel_statistics.get_scene_embeddings(audio[None], mel_statistics.load_model())[0]
    found = np.load(embedded / "sounds-v1-full/test/12.wav.embedding.npy")
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


def test_a_multilabel_task_scored_by_jaccard(embedded: Path) -> None:
    found = scores(embedded / "sounds-v1-full")
    predictions = load_predictions(embedded / "sounds-v1-full/test.predictions.pkl")
    expected = jaccard_score(predictions.target, predictions.prediction > 0.5, average="micro")
    assert found["test"]["test_jaccard_micro"] == found["test"]["test_score"] == pytest.approx(expected)
    assert found["score_mode"] == "max"
    assert expected > 0
    assert 0 < found["test"]["test_mAP"] <= 1


def test_a_multiclass_task_in_folds(embedded: Path) -> None:
    found = scores(embedded / "hum-v1-full")
    folds = [found[f"fold{number:02d}"]["test_top1_acc"] for number in range(3)]
    assert found["aggregated_scores"]["test_top1_acc_mean"] == pytest.approx(np.mean(folds))


def test_an_event_task_is_tested_with_the_post_processing_of_its_best_epoch(embedded: Path) -> None:
    from heareval.predictions.task_predictions import create_events_from_prediction

    found = scores(embedded / "bursts-v1-full")
    with (embedded / "bursts-v1-full/test.predictions.pkl").open("rb") as stream:
        content = pickle.load(stream)  # of heareval, a moment ago
    times = content["timestamp"].tolist()
    starts = [0, *(index for index in range(1, len(times)) if times[index] < times[index - 1]), len(times)]
    assert len(starts) - 1 == len(content["predicted_events"]) == 6
    hits = guessed = 0
    for (name, events), (first, last) in zip(content["predicted_events"].items(), pairwise(starts), strict=True):
        frames = dict(zip(times[first:last], content["prediction"][first:last], strict=True))
        assert events == create_events_from_prediction(frames, {0: "burst"}, **dict(found["postprocessing"]))
        (burst,) = content["target_events"][name]
        hits += any(abs(event["start"] - burst["start"]) <= 200 for event in events)
        guessed += len(events)
    assert hits > 0
    assert found["test"]["test_event_onset_200ms_fms"] == pytest.approx(2 * hits / (guessed + 6))


def test_heareval_alone_ends_at_the_event_task_and_scores_scenes_alike(embedded: Path, tmp_path: Path) -> None:
    names = ["hum-v1-full", "bursts-v1-full"]
    for name in names:
        shutil.copytree(embedded / name, tmp_path / name, ignore=shutil.ignore_patterns("prediction-done.json"))
    (tmp_path / "hum-v1-full/test.predicted-scores.json").unlink()
    grid = ["--grid", "faster", "--grid-points", "1"]
    safe = start("-m", "heareval.predictions.runner", names[0], *grid, cwd=tmp_path)
    assert "Weights only load failed" in safe.stderr
    done = start("-m", "heareval.predictions.runner", *names, *grid, cwd=tmp_path, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1")
    assert re.search(r"^KeyError: \d+$", done.stderr, re.MULTILINE)
    ours, theirs = (scores(folder / names[0]) for folder in (embedded, tmp_path))
    for fold in ("fold00", "fold01", "fold02"):
        assert {**ours[fold], "time_in_min": 0} == {**theirs[fold], "time_in_min": 0}


def test_our_module_without_tensorflow(work: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE_TENSORFLOW)
    (tmp_path / "tf_model.py").write_text("def load_model(path=None):\n    import tensorflow.keras\n")
    options = ["--tasks-dir", str(work / "tasks"), "--task", "sounds-v1-full"]
    hidden = {"PYTHONPATH": str(tmp_path)}
    assert "No module named 'tensorflow'" in start("-c", "import tensorflow", cwd=tmp_path, **hidden).stderr
    done = launch("embeddings", "hear_multiview", *options, cwd=tmp_path, **hidden)
    assert done.stderr.count("TensorFlow is not installed: heareval can embed with torch models only\n") == 1
    name = "embeddings/hear_multiview/sounds-v1-full"
    launch("predictions", name, "--grid", "faster", "--grid-points", "1", cwd=tmp_path, **hidden)
    assert 0 <= scores(tmp_path / name)["test"]["test_jaccard_micro"] <= 1

    done = start("-m", "sonyc_tasks.heareval", "embeddings", "tf_model", *options, cwd=tmp_path, **hidden)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the model needs TensorFlow, which is not installed; run pip")
    assert "Traceback" not in done.stderr


def test_a_gpu_that_tensorflow_does_not_see(tmp_path: Path) -> None:
    script = """
import sys, types, torch
torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1
pynvml = sys.modules["pynvml"] = types.ModuleType("pynvml")
pynvml.NVMLError = OSError
pynvml.nvmlInit = lambda: None
pynvml.nvmlDeviceGetHandleByIndex = lambda index: index
pynvml.nvmlDeviceGetMemoryInfo = lambda handle: types.SimpleNamespace(used=2**31)
pynvml.nvmlDeviceGetName = lambda handle: f"GPU {handle} ™"
try:
    import heareval.embeddings.runner
except ValueError as error:
    print("alone:", error)
from heareval import gpu_max_mem
try:
    gpu_max_mem.device_name()
except AttributeError as error:
    print("alone:", error)
from sonyc_tasks.heareval import prepared
print(prepared("embeddings").name, gpu_max_mem.device_name(), gpu_max_mem.measure())
import tensorflow
print(tensorflow.test.is_gpu_available())
"""
    done = start("-c", script, cwd=tmp_path, PYTHONIOENCODING="utf-8")
    assert done.stdout.splitlines() == [
        "alone: GPUs not available in tensorflow, but found by pytorch",
        "alone: 'str' object has no attribute 'decode'",
        "runner GPU 0 ™ 2.0",
        "False",
    ], done.stderr[-3000:]
    assert done.stderr.count("TensorFlow sees no GPU: torch models use it, others do not\n") == 1


def test_a_gpu_that_tensorflow_sees_needs_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    config = SimpleNamespace(list_physical_devices=lambda kind: [kind])
    tensorflow = SimpleNamespace(config=config, test=SimpleNamespace())
    with launcher.gpu_without_tensorflow(tensorflow):
        assert tensorflow.test.is_gpu_available(cuda_only=False, min_cuda_compute_capability=None)
    assert capsys.readouterr() == ("", "")


def test_the_stand_in_is_there_for_heareval_alone(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with launcher.tensorflow_or_stand_in() as tensorflow:
        assert sys.modules["tensorflow"] is tensorflow
        assert not isinstance(torch.nn.Identity(), tensorflow.Module)
        assert tensorflow.test.is_gpu_available(cuda_only=False)
    assert "tensorflow" not in sys.modules
    assert capsys.readouterr().err.count("\n") == 1


def test_no_stand_in_beside_a_tensorflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    theirs: Any = ModuleType("tensorflow")
    theirs.test = SimpleNamespace(is_gpu_available="theirs")
    monkeypatch.setitem(sys.modules, "tensorflow", theirs)
    with launcher.tensorflow_or_stand_in() as tensorflow:
        assert tensorflow is theirs
    assert sys.modules["tensorflow"] is theirs
    assert theirs.test.is_gpu_available == "theirs"
    assert capsys.readouterr() == ("", "")
    # One that is installed and broken has to be mended.
    (tmp_path / "tensorflow.py").write_text("import something_that_tensorflow_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow")
    with pytest.raises(ModuleNotFoundError, match="something_that"), launcher.tensorflow_or_stand_in():
        pass


@pytest.mark.parametrize("name", ["Tesla", b"Tesla"])
def test_gpu_names_of_old_and_new_pynvml(name: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from heareval import gpu_max_mem

    monkeypatch.setattr(gpu_max_mem, "nvmlDeviceGetName", lambda _: name, raising=False)
    launcher.give_gpu_names_as_bytes()
    assert gpu_max_mem.nvmlDeviceGetName(0).decode("utf-8") == "Tesla"


@pytest.fixture
def no_classes_allowed() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.mark.usefixtures("no_classes_allowed")
def test_checkpoints_hold_what_heareval_notes_and_no_more(tmp_path: Path) -> None:
    noted = {
        "hidden_norm": torch.nn.BatchNorm1d,
        "embedding_norm": torch.nn.Identity,
        "initialization": [torch.nn.init.xavier_uniform_, torch.nn.init.xavier_normal_],
        "optim": torch.optim.Adam,
    }
    torch.save(noted, tmp_path / "noted.ckpt")
    torch.save({**noted, "run": os.system}, tmp_path / "other.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        torch.load(tmp_path / "noted.ckpt", weights_only=True)
    launcher.allow_checkpoint_classes()
    assert torch.load(tmp_path / "noted.ckpt", weights_only=True) == noted
    assert len(torch.serialization.get_safe_globals()) == 5
    with pytest.raises(pickle.UnpicklingError, match=r"(?i)unsupported global \w+\.system"):
        torch.load(tmp_path / "other.ckpt", weights_only=True)


def test_the_epoch_that_heareval_sets_is_the_trainers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pytorch_lightning import Trainer, loops

    fit_loop: Any = loops.FitLoop

    def epoch_after_setting_it() -> int:
        trainer: Any = Trainer(max_epochs=9, logger=False, enable_checkpointing=False, default_root_dir=str(tmp_path))
        trainer.fit_loop.current_epoch = 4
        return trainer.current_epoch

    assert not hasattr(fit_loop, "current_epoch")
    assert epoch_after_setting_it() == 0
    # The attribute goes again after this test; an absent one is what the launcher looks for.
    monkeypatch.setattr(fit_loop, "current_epoch", None, raising=False)
    del fit_loop.current_epoch
    launcher.let_the_epoch_be_set()
    assert epoch_after_setting_it() == 4
    launcher.let_the_epoch_be_set()
    assert epoch_after_setting_it() == 4


def test_jaccard_becomes_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    import heareval.score

    monkeypatch.setattr(heareval.score, "available_scores", dict(heareval.score.available_scores))
    launcher.register_jaccard()
    rng = np.random.default_rng(3)
    target = (rng.random((20, 4)) < 0.5).astype(np.float32)
    target[:, 0] = 1  # no clip without a label, on which sklearn differs
    prediction = rng.random((20, 4), dtype=np.float32)
    for average in ("micro", "macro", "samples"):
        score = heareval.score.available_scores[f"jaccard_{average}"](label_to_idx={})
        assert (str(score), score.maximize) == (f"jaccard_{average}", True)
        assert score(prediction, target) == pytest.approx(jaccard_score(target, prediction > 0.5, average=average))


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ([], ["score"]):
        with pytest.raises(SystemExit, match=r"^usage: python -m sonyc_tasks\.heareval embeddings\|predictions"):
            launcher.main(arguments)
    launcher.main(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m sonyc_tasks.heareval")

    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'heareval'", name="heareval")

    monkeypatch.setattr(launcher, "import_module", absent)
    with pytest.raises(SystemExit, match=r"^error: heareval is not installed; run pip install --no-deps heareval=="):
        launcher.main(["predictions"])
