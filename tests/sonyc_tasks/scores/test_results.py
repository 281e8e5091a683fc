from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sonyc_tasks.scores.metrics import accuracy, mean_average_precision
from sonyc_tasks.scores.results import load_predictions, read_scores, split_model_name


def tensors(clips: int, classes: int, seed: int = 0, one_hot: bool = False) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logit = torch.randn(clips, classes, generator=draw)
    labels = torch.randint(classes, (clips,), generator=draw)
    target = torch.eye(classes)[labels] if one_hot else (torch.rand(clips, classes, generator=draw) < 0.3).float()
    return {"target": target, "prediction": torch.sigmoid(logit), "prediction_logit": logit}


# The folders hold results only; tests/sonyc_tasks/test_result_checks.py is about what else belongs there.
pytestmark = pytest.mark.filterwarnings("ignore:.*nothing tells")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """What heareval's prediction runner leaves for one task of one model."""

    def run(model: str, task: str, seed: int = 0, **scores: float) -> Path:
        folder = tmp_path / "embeddings" / model / f"{task}-v1-full"
        folder.mkdir(parents=True)
        content = tensors(30, 4, seed, one_hot=task == "sonyc_sensor")
        with (folder / "test.predictions.pkl").open("wb") as stream:
            pickle.dump(content, stream)
        target, prediction = content["target"].numpy() > 0.5, content["prediction"].numpy()
        noted = {"test_mAP": mean_average_precision(target, prediction), "test_top1_acc": accuracy(target, prediction)}
        (folder / "test.predicted-scores.json").write_text(json.dumps({"test": noted | scores}))
        return folder

    return run


def test_folders_are_grouped_by_model_and_view(tmp_path: Path, write: Write) -> None:
    write("net", "sonyc_source")
    write("net-view=private", "sonyc_source", seed=1)
    write("net-view=private", "sonyc_sensor")
    write("net-precision=bf16", "sonyc_sensor")
    write("net", "esc50")
    (tmp_path / "embeddings/net/sonyc_sensor-v1-full").mkdir()  # embedded, not yet predicted
    results = read_scores(tmp_path / "embeddings")
    assert {model: {view: sorted(tasks) for view, tasks in views.items()} for model, views in results.items()} == {
        "net": {"joint": ["sonyc_source"], "private": ["sonyc_sensor", "sonyc_source"]},
        "net-precision=bf16": {"joint": ["sonyc_sensor"]},
    }
    predictions = results["net"]["private"]["sonyc_source"]
    expected = tensors(30, 4, seed=1)
    assert (len(predictions), predictions.target.dtype, predictions.prediction.dtype) == (30, np.bool_, np.float64)
    np.testing.assert_array_equal(predictions.target, expected["target"].numpy() == 1)
    np.testing.assert_array_equal(predictions.prediction, expected["prediction"].numpy())


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("a", ("a", "joint")),
        ("a-view=joint", ("a", "joint")),
        ("a-view=frontend-frontend=dac-44khz", ("a-frontend=dac-44khz", "frontend")),
        ("a-frontend-weights=my-view-pth-view=shared", ("a-frontend-weights=my-view-pth", "shared")),
        ("a-view=privateer", ("a-view=privateer", "joint")),
    ],
)
def test_names(folder: str, expected: tuple[str, str]) -> None:
    assert split_model_name(folder) == expected


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # as it is set for heareval
    path, trace = tmp_path / "x.pkl", tmp_path / "ran"
    for content in (_Bomb(trace), {**tensors(3, 2), "prediction": _Bomb(trace)}):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=r"x\.pkl.*posix\.mkdir"):
            load_predictions(path)
        assert not trace.exists()


def test_a_pickle_inside_a_tensor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch keeps a tensor's numbers as a second pickle inside the first, and opens that one with plain pickle."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trace = tmp_path / "ran"
    torch.save(_Bomb(trace), tmp_path / "inner", _use_new_zipfile_serialization=False)
    inner = (tmp_path / "inner").read_bytes()

    class Storage:
        def __reduce__(self) -> Any:
            return torch.storage._load_from_bytes, (inner,)

    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"target": Storage()}))
    with pytest.raises(ValueError, match=r"x\.pkl"):
        load_predictions(tmp_path / "x.pkl")
    assert not trace.exists()
    with (tmp_path / "x.pkl").open("rb") as stream:
        pickle.load(stream)
    assert trace.exists()  # the attack is a real one


def test_broken_predictions(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    good = tensors(3, 2)
    for content, message in (
        ({"target": good["target"]}, r"x\.pkl.*KeyError\('prediction'\)"),
        ({**good, "target": torch.zeros(3)}, r"x\.pkl.*\(3,\).*\(3, 2\)"),
        ({**good, "prediction": good["prediction"] * torch.nan}, r"x\.pkl.*finite"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match=message):
            load_predictions(path)
    path.write_bytes(pickle.dumps(good)[:-20])
    with pytest.raises(ValueError, match=r"x\.pkl"):
        load_predictions(path)


def test_results_of_two_runs_do_not_mix(tmp_path: Path, write: Write) -> None:
    write("net", "sonyc_source", test_mAP=0.9)
    with pytest.raises(ValueError, match=r"test_mAP = 0\.9.*test\.predictions\.pkl"):
        read_scores(tmp_path / "embeddings")


def test_scores_that_are_no_scores(tmp_path: Path, write: Write) -> None:
    (write("net", "sonyc_source") / "test.predicted-scores.json").write_text('{"fold00": {}}')
    with pytest.raises(ValueError, match=r"test\.predicted-scores\.json.*sonyc_source"):
        read_scores(tmp_path / "embeddings")


def test_two_versions_of_a_task(tmp_path: Path, write: Write) -> None:
    folder = write("net", "sonyc_source")
    write("other", "sonyc_source").rename(folder.with_name("sonyc_source-v2-full"))
    with pytest.raises(ValueError, match=r"net.*sonyc_source"):
        read_scores(tmp_path / "embeddings")


def test_nothing_to_score(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"embeddings;.*--embeddings-dir"):
        read_scores(tmp_path / "embeddings")
    with pytest.raises(ValueError, match=r"sonyc_source.*sonyc_sensor.*heareval"):
        read_scores(tmp_path)
