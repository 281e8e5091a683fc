"""``python -m training`` on bad input: one sentence, exit code 1, nothing half-written; and on a store elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hear_multiview
from hear_multiview import frontends
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.synthesis import synthesize
from training.__main__ import main
from training.data.records import Partition
from training.data.store import LatentStore


@pytest.fixture
def empty_csv(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "annotations.csv").write_text("")
    return folder


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_data_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in failure(capsys, "latents", tmp_path / "nowhere", "--store", tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_csv(empty_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "annotations.csv" in failure(capsys, "latents", empty_csv, "--store", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a latent store" in failure(capsys, "pretrain", "--store", tmp_path, "--runs", tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'magic'" in failure(capsys, "pretrain", "--recipe", "magic", "--store", tmp_path)


@pytest.mark.parametrize("seed", ["-1", str(2**40), "x"])
def test_an_impossible_seed(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--seed", seed])
    assert f"{seed}" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.data.store.LatentStore", stop)
    assert main(["pretrain"]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_embeddings_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert str(tmp_path) in failure(capsys, "report", "--embeddings", tmp_path, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("device", ["abacus", "meta", "tpu", "hpu"])
def test_a_device_that_is_not_there(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_store: Callable[..., LatentStore]
) -> None:
    store = make_store(tmp_path / "s", [], [], Partition((0,), (1,)))
    error = failure(capsys, "pretrain", "--store", store.path, "--runs", tmp_path / "runs", "--device", device)
    assert error.startswith(f"error: --device {device} cannot be used here")
    assert all(choice in error for choice in ("cpu", "cuda", "auto"))
    assert "xla" not in error, "torch's list of devices"
    assert "\n" not in error.strip()
    assert not (tmp_path / "runs").exists()


def test_a_store_at_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    synthesize(Path("data"), sensors=4, clips_per_sensor=4, seconds=0.2, seed=1, workers=1, progress=False)
    sensors = ["--train-sensors", "1", "--valid-sensors", "1", "--probe-sensors", "2", "--min-probe-clips", "3"]
    address = f"memory://{tmp_path.name}/latents"
    assert main(["latents", "data", "--store", address, "--frontend", "log_mel", *sensors]) == 0
    out = capsys.readouterr().out
    assert f"next: python -m training pretrain --store {address}\n" in out
    assert re.search("build data .*--sample-rate 16000", out), "tasks at the rate of the front end"
    split, partition = SensorSplit.load("split.json"), LatentStore(address).about.partition
    assert (split.train, split.valid, split.probe) == (partition.train, partition.valid, partition.probe)
    assert main(["pretrain", "--recipe", "demo", "--store", address]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "runs", "split.json"]


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "audiotools", None)
    monkeypatch.delitem(sys.modules, "training.codec.listen", raising=False)
    error = failure(capsys, "listen", "codec.pth", "clip.wav")
    assert "audiotools" in error
    assert error.endswith("; pip install '.[eval,train]' has it")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"    {name} " in printed for name in ("latents", "pretrain", "report", "demo"))


def test_no_help_needs_torch_or_numpy(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Imported, they would take ten times as long as all else."""
    code = """
import contextlib, io, sys
from training.__main__ import main
shown = io.StringIO()
def show(*command):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(shown):
        main([*command, "--help"])
show()
commands = [line.split()[0] for line in shown.getvalue().splitlines() if line[:4].isspace() and line[4:5].isalpha()]
for command in commands:
    show(command)
assert shown.getvalue().count("usage: ") == 1 + len(commands) > 10
print(sorted({"torch", "numpy", "numba", "scipy"} & set(sys.modules)))
"""
    done = python("-c", code)
    assert done.stdout == "[]\n", done.stderr


def test_a_registered_front_end_is_known_everywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(frontends.LOADERS, "newcomer", frontends.LOADERS["log_mel"])
    assert frontends.load_frontend("newcomer").dim == 64
    assert hear_multiview.load_model(view="frontend", frontend="newcomer").scene_embedding_size == 64
    for command in ("latents", "paper"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "newcomer" in capsys.readouterr().out
    for load in (frontends.load_frontend, lambda name: hear_multiview.load_model(view="frontend", frontend=name)):
        with pytest.raises(ValueError, match="newcomer"):
            load("nobody")
