"""heareval's launcher: each thing that it puts in place, alone. Whole runs are in test_heareval_runs.py."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from sonyc_tasks import heareval as launcher
from sonyc_tasks.tasks.validate.task import LAUNCHER_SCORES

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_gpu_that_tensorflow_does_not_see(python: Run, tmp_path: Path) -> None:
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
    done = python("-c", script, cwd=tmp_path, PYTHONIOENCODING="utf-8", CUDA_VISIBLE_DEVICES="")
    assert done.stdout.splitlines() == [
        "alone: GPUs not available in tensorflow, but found by pytorch",
        "alone: 'str' object has no attribute 'decode'",
        "runner GPU 0 ™ 2.0",
        "False",
    ], done.stderr[-3000:]
    assert done.stderr.count("TensorFlow sees no GPU") == 1


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


def test_a_process_that_needs_no_tensorflow_does_not_import_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imported: list[str] = []
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(launcher, "import_module", imported.append)
    monkeypatch.setenv(launcher.NO_TENSORFLOW, "1")
    with launcher.tensorflow_or_stand_in() as tensorflow:
        assert sys.modules["tensorflow"] is tensorflow
        assert not isinstance(torch.nn.Identity(), tensorflow.Module)
    assert imported == []
    assert "tensorflow" not in sys.modules
    assert capsys.readouterr().err == ""


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
    import heareval.predictions.task_predictions  # noqa: F401  what it imports allows classes of torch's own

    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.mark.usefixtures("no_classes_allowed")
def test_checkpoints_hold_what_heareval_notes_and_no_more(tmp_path: Path) -> None:
    noted: dict[str, Any] = {
        "hidden_norm": torch.nn.BatchNorm1d,
        "embedding_norm": torch.nn.Identity,
        "initialization": [torch.nn.init.xavier_uniform_, torch.nn.init.xavier_normal_],
        "optim": torch.optim.Adam,
    }
    torch.save(noted, tmp_path / "noted.ckpt")
    torch.save({**noted, "run": os.system}, tmp_path / "other.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        torch.load(tmp_path / "noted.ckpt", weights_only=True)
    before = set(torch.serialization.get_safe_globals())
    launcher.allow_checkpoint_classes()
    allowed = set(torch.serialization.get_safe_globals()) - before
    assert torch.load(tmp_path / "noted.ckpt", weights_only=True) == noted
    initialization = noted.pop("initialization")
    assert allowed == {*noted.values(), *initialization}
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
    assert not heareval.score.available_scores.keys() & set(LAUNCHER_SCORES)
    launcher.register_jaccard()
    assert heareval.score.available_scores.keys() >= set(LAUNCHER_SCORES)
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
        with pytest.raises(SystemExit, match=r"^usage: python -m sonyc_tasks\.heareval"):
            launcher.main(arguments)
    launcher.main(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m sonyc_tasks.heareval")

    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'heareval'", name="heareval")

    monkeypatch.setattr(launcher, "import_module", absent)
    with pytest.raises(SystemExit, match=r"^error: .*pip install --no-deps heareval=="):
        launcher.main(["predictions"])
