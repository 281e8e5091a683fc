"""Whole runs of heareval in processes of their own, by its launcher and by its own commands: every kind of task, for
our model and for a reference submission."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sklearn.metrics import jaccard_score

from sonyc_tasks.scores.results import load_predictions
from sonyc_tasks.tasks.sonyc import PAPER_GRID, embedding_batch
from sonyc_tasks.tasks.task_folder import Event, Task, write_task

pytestmark = pytest.mark.slow

MODULES = ["hear_multiview", "hear_multiview.references.mel_statistics"]
SCENES = ["sounds-v1-full", "hum-v1-full", "hum_folds-v1-full"]
TASKS = [*SCENES, "bursts-v1-full"]  # the last: heareval alone ends there
FOLDS = ("fold00", "fold01", "fold02")
RATE, CLIPS = 44_100, 18
#: Of the tasks: each module has its own.
RATES = (16_000, 44_100)
#: A smaller probe, and two post-processings of events to choose from. It is validated late: heareval ends the training
#: where the score is NaN, which it is as long as no event is predicted.
QUICK = {**PAPER_GRID, "hidden_dim": [64], "max_epochs": [60], "check_val_every_n_epoch": [20], "batch_size": [64]}
POSTPROCESSING = {"median_filter_ms": [50], "min_duration": [50, 700]}
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
    """``python -m …`` as a user would, with torch's safe loading as torch has it."""
    own = {key: value for key, value in os.environ.items() if key != "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    own |= {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **environment}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=600, check=False)


def launch(*arguments: str, cwd: Path, **environment: str) -> str:
    """The output of the launcher, which has to end well."""
    done = start("sonyc_tasks.heareval", *arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def scores(embedded: Path) -> dict[str, Any]:
    return json.loads((embedded / "test.predicted-scores.json").read_text())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four tasks over the same clips of 1 s, embedded and probed through the launcher."""
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
    hum = {name: ["hum" if "hum" in own else "none"] for name, own in sounds.items()}

    def write(name: str, labels: dict[str, Any], vocabulary: list[str], evaluation: list[str], **other: Any) -> None:
        splits = FOLDS if "split_mode" in other else ("train", "valid", "test")
        grid = {"task_specific_param_grid": other.pop("grid", QUICK), "event_postprocessing_grid": POSTPROCESSING}
        task = Task(
            name=name,
            vocabulary=vocabulary,
            splits={split: {name: labels[name] for name in names[6 * n : 6 * n + 6]} for n, split in enumerate(splits)},
            evaluation=evaluation,
            sample_duration=1.0,
            extra={"evaluation_params": grid},
            **{"prediction_type": "multilabel", **other},
        )
        for rate in RATES:
            write_task(task, {name: folder / name for name in names}, folder / "tasks", sample_rate=rate, workers=1)

    # Validated once, so that the probe does not depend on which of the scores is the first.
    once = {**QUICK, "check_val_every_n_epoch": QUICK["max_epochs"]}
    write("sounds", sounds, ["hum", "whistle"], ["jaccard_micro", "mAP"], grid=once)
    write("hum", hum, ["hum", "none"], ["top1_acc"], prediction_type="multiclass", grid=PAPER_GRID)
    folds: Any = {"prediction_type": "multiclass", "split_mode": "presplit_kfold"}
    write("hum_folds", hum, ["hum", "none"], ["top1_acc"], **folds)
    write("bursts", bursts, ["burst"], ["event_onset_200ms_fms", "segment_1s_er"], embedding_type="event")
    out = launch("embeddings", MODULES[0], "+", MODULES[1], cwd=folder)
    assert set(re.findall(r"Estimated batch size = (\d+)", out)) == {str(embedding_batch(1.0, rate)) for rate in RATES}
    embedded = [f"embeddings/{module}/{task}" for module in MODULES for task in TASKS]
    shutil.copytree(folder / "embeddings" / MODULES[1] / "hum-v1-full", folder / "all_settings")
    (folder / "sitecustomize.py").write_text(HIDE_TENSORFLOW)  # which predictions do not need
    calls = [*embedded, "--grid-points", "1", "+", "all_settings"]
    launch("predictions", *calls, cwd=folder, PYTHONPATH=str(folder))
    return folder


@pytest.fixture(scope="module", params=MODULES)
def embedded(request: pytest.FixtureRequest, work: Path) -> Path:
    """The folder of a module's embeddings; its name is the module's."""
    return work / "embeddings" / request.param


def test_embeddings_are_the_models(work: Path, embedded: Path) -> None:
    module = import_module(embedded.name)
    model = module.load_model()
    file = work / "tasks/sounds-v1-full" / str(model.sample_rate) / "test/12.wav"
    expected = module.get_scene_embeddings(torch.tensor(soundfile.read(file, dtype="float32")[0])[None], model)[0]
    found = np.load(embedded / "sounds-v1-full/test/12.wav.embedding.npy")
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


def test_a_multilabel_task_scored_by_jaccard_too(embedded: Path) -> None:
    found = scores(embedded / "sounds-v1-full")["test"]
    predictions = load_predictions(embedded / "sounds-v1-full/test.predictions.pkl")
    expected = jaccard_score(predictions.target, predictions.prediction > 0.5, average="micro")
    assert found["test_jaccard_micro"] == found["test_score"] == pytest.approx(expected)
    assert expected > 0
    assert 0 < found["test_mAP"] <= 1


def test_a_multiclass_task_with_the_papers_probe(embedded: Path) -> None:
    found = scores(embedded / "hum-v1-full")
    assert {key: [found["hparams"][key]] for key in PAPER_GRID} == PAPER_GRID
    hits = load_predictions(embedded / "hum-v1-full/test.predictions.pkl")
    expected = np.mean(hits.target.argmax(1) == hits.prediction.argmax(1))
    assert found["test"]["test_top1_acc"] == pytest.approx(expected)


def test_more_grid_points_than_settings_try_each_once(work: Path) -> None:
    log = (work / "all_settings" / "prediction.log").read_text()
    assert re.findall(r"Grid point (\d) of (\d)", log) == [("1", "8"), ("2", "8")]
    first, second = re.findall(r"'initialization': <function (\w+)", log)[:2]
    assert {first, second} == {"xavier_uniform_", "xavier_normal_"}


def test_a_task_in_folds(embedded: Path) -> None:
    found = scores(embedded / "hum_folds-v1-full")
    folds = [found[fold]["test_top1_acc"] for fold in FOLDS]
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


def test_heareval_alone_scores_scenes_alike_and_ends_at_events(work: Path, embedded: Path, tmp_path: Path) -> None:
    module = embedded.name
    done = start("heareval.embeddings.runner", module, "--tasks-dir", str(work / "tasks"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    names = [f"embeddings/{module}/{task}" for task in TASKS]
    file = tmp_path / names[0] / "task_metadata.json"
    file.write_text(file.read_text().replace('"jaccard_micro",', ""))
    unsafe = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    done = start("heareval.predictions.runner", *names, "--grid-points", "1", cwd=tmp_path, **unsafe)
    assert done.returncode == 1
    assert re.search(r"^KeyError: \d+$", done.stderr, re.MULTILINE)  # the epoch that let_the_epoch_be_set puts right
    assert not (tmp_path / names[-1] / "test.predicted-scores.json").exists()
    for name in names[:-1]:
        ours, theirs = (scores(folder / name) for folder in (work, tmp_path))
        for split in ("test",) if "test" in theirs else FOLDS:
            shared = theirs[split].keys() - {"time_in_min", "test_score", "validation_score"}
            assert shared >= {"test_mAP", "test_loss"} or shared >= {"test_top1_acc", "test_loss"}
            assert {key: ours[split][key] for key in shared} == {key: theirs[split][key] for key in shared}


def test_heareval_alone_needs_unsafe_loading(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "all_settings", tmp_path / "task", ignore=shutil.ignore_patterns("prediction*"))
    done = start("heareval.predictions.runner", "task", "--grid-points", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "Weights only load failed" in done.stderr


def test_our_module_without_tensorflow(work: Path, tmp_path: Path) -> None:
    (tmp_path / "tf_model.py").write_text("def load_model(path=None):\n    import tensorflow.keras\n")
    options = ["--tasks-dir", str(work / "tasks"), "--task", "sounds-v1-full"]
    hidden = {"PYTHONPATH": os.pathsep.join([str(work), str(tmp_path)])}
    assert "No module named tensorflow" in start("tensorflow", cwd=tmp_path, **hidden).stderr
    calls = [MODULES[0], *options, "+", "tf_model", *options]
    done = start("sonyc_tasks.heareval", "embeddings", *calls, cwd=tmp_path, **hidden)
    assert done.stderr.count("TensorFlow is not installed: ") == 1
    assert done.returncode == 1
    assert re.match("error: .*TensorFlow.*pip install", done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    ours, theirs = (
        folder / "embeddings/hear_multiview/sounds-v1-full/test.embeddings.npy" for folder in (tmp_path, work)
    )
    assert ours.read_bytes() == theirs.read_bytes()
