from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from hear_multiview import load_model
from sonyc_tasks.__main__ import main
from sonyc_tasks.dataset.taxonomy import COARSE


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_build_then_validate(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = tmp_path / "tasks"
    assert run("build", dataset, "--tasks-dir", tasks, "--probe-sensors", 3, "--min-probe-clips", 10) == 0
    out = capsys.readouterr().out
    assert re.search(r"^sensors: 3 probe.* 6 ", out, re.MULTILINE)
    assert re.search(rf"^{tasks}/sonyc_source-v1-full: .*32 train, 11 valid, 11 test clips", out, re.MULTILINE)
    first, *steps = out.split("next:\n")[1].splitlines()
    # 0.7 · 120 s / 0.25 s, and 16,000 / 44,100 of it, rounded down
    assert first.startswith("sonyc_source-v1-full: ")
    batches = "336 clips (16000 Hz) or 121 clips (44100 Hz)"
    for words in (batches, "8 probes", "--grid", "default 16, fast 64, faster 64"):
        assert words in first
    launcher = "python -m sonyc_tasks.heareval"
    assert steps[:2] == [
        f"  {launcher} embeddings hear_multiview --tasks-dir {tasks} --task sonyc_source-v1-full",
        f"  {launcher} predictions embeddings/hear_multiview/sonyc_source-v1-full --grid-points 8",
    ]
    assert len(steps) == 5
    assert run("validate", *sorted(tasks.iterdir())) == 0
    assert f"{tasks}/sonyc_sensor-v1-full: sound" in capsys.readouterr().out
    (tasks / "sonyc_sensor-v1-full" / "test.json").unlink()
    assert run("validate", *sorted(tasks.iterdir())) == 1
    out = capsys.readouterr().out
    assert f"{tasks}/sonyc_sensor-v1-full/test.json: " in out
    assert f"{tasks}/sonyc_sensor-v1-full: 1 problem" in out


def test_build_with_the_papers_grid(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--tasks-dir", tmp_path / "tasks", "--probe-sensors", 3, "--min-probe-clips", 10]
    assert run("build", dataset, *options, "--grid", "paper") == 0
    out = capsys.readouterr().out
    assert out.count("1 probe") == 2
    assert out.count("-v1-full --grid-points 1\n") == 2


def test_build_with_a_split_file(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = tmp_path / "split.json"
    split.write_text('{"train": [0], "valid": [1], "probe": [2, 3]}')
    assert run("build", dataset, "--tasks-dir", tmp_path / "tasks", "--split", split, "--seconds", "0.1") == 0
    assert "36 trimmed" in capsys.readouterr().out
    vocabulary = (tmp_path / "tasks" / "sonyc_sensor-v1-full" / "labelvocabulary.csv").read_text()
    assert vocabulary == "idx,label\n0,sensor_02\n1,sensor_03\n"
    split.write_text('{"train": [0], "valid": [1], "probe": [2, 77]}')
    assert run("build", dataset, "--tasks-dir", tmp_path / "other", "--split", split) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert re.match(r"error: .*\b77\b", error)
    assert not (tmp_path / "other").exists()


def test_a_user_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("build", tmp_path / "nowhere") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (error,) = captured.err.splitlines()
    assert re.match(f"error: .*{tmp_path / 'nowhere'}", error)
    assert run("score", tmp_path / "nowhere") == 1
    assert re.match(f"error: .*{tmp_path / 'nowhere'}", capsys.readouterr().err)


def test_a_package_that_is_not_there(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "iterstrat.ml_stratifiers", None)
    assert run("build", dataset, "--tasks-dir", tmp_path / "tasks", "--probe-sensors", 3, "--min-probe-clips", 10) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "pip install '.[eval,train]'" in error
    assert not (tmp_path / "tasks").exists()


def test_warnings_are_one_line_each(
    tmp_path: Path, write_dataset: Any, annotation: Any, write_annotations: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_dataset(tmp_path / "data", {**dict.fromkeys(range(4), 9), 5: 1}, seconds=0.02)
    assert run("build", root, "--tasks-dir", tmp_path / "tasks", "--min-probe-clips", 9) == 0
    err = capsys.readouterr().err.splitlines()  # libraries warn, too
    assert len([line for line in err if line.startswith("warning: sensor") and "5" in line]) == 1


def test_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for view, quality in (("private", 1.0), ("shared", -1.0)):
        folder = tmp_path / "embeddings" / f"net-view={view}" / "sonyc_source-v1-full"
        folder.mkdir(parents=True)
        target = torch.eye(len(COARSE)).repeat(3, 1)
        prediction = torch.sigmoid(quality * (target - 0.5))
        with (folder / "test.predictions.pkl").open("wb") as stream:
            pickle.dump({"target": target, "prediction": prediction, "prediction_logit": prediction}, stream)
        noted = 1.0 if quality > 0 else 1 / 8
        (folder / "test.predicted-scores.json").write_text(json.dumps({"test": {"test_mAP": noted}}))
    files = ["--csv", tmp_path / "scores.csv", "--json", tmp_path / "scores.json", "--resamples", "20"]
    assert run("score", tmp_path / "embeddings", *files) == 0
    out = capsys.readouterr().out
    assert "| private | 1.000 [1.000, 1.000]" in out
    assert "DSCΔ private +1.000 [+1.000, +1.000]    DSCΔ shared —" in out
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 8 + 1
    assert json.loads((tmp_path / "scores.json").read_text())[0]["dsc_private"]["value"] == 1


def test_synthesize_passes_its_options_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    stand_in: Any = types.ModuleType("sonyc_tasks.synthesis")
    stand_in.synthesize = lambda *given, **named: calls.append((given, named))
    monkeypatch.setitem(sys.modules, "sonyc_tasks.synthesis", stand_in)
    assert run("synthesize", tmp_path / "x", "--sensors", 3, "--clips", 4, "--seconds", 1.5, "--seed", 7) == 0
    assert calls == [((tmp_path / "x",), {"sensors": 3, "clips_per_sensor": 4, "seconds": 1.5, "seed": 7})]
    out = capsys.readouterr().out
    assert out.startswith(f"next: python -m sonyc_tasks build {tmp_path / 'x'} --tasks-dir tasks")
    assert int(out.split("--sample-rate ")[1]) == load_model().sample_rate, "else the next command fails"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("download", ["Reads", "Zenodo", "writes DIR/annotations.csv", "CC BY 4.0"]),
        ("check", ["Reads DIR/annotations.csv", "Writes nothing"]),
        ("synthesize", ["Writes", "Reads nothing"]),
        ("build", ["Reads DIR/annotations.csv", "writes"]),
        ("validate", ["Reads", "Writes nothing"]),
        *((command, ["Reads", "Writes only"]) for command in ("score", "compare", "leaderboard")),
    ],
)
def test_help_says_what_is_read_and_written(command: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(command, "--help")
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [word for word in words if word not in text] == []


def test_the_package_is_light_and_apart() -> None:
    """--help has to be instant, and whoever evaluates must not load what trains."""
    script = (
        "import sys, sonyc_tasks, sonyc_tasks.__main__ as m; m._parser().format_help();"
        "print([name for name in ('torch', 'numpy', 'soundfile', 'sklearn', 'hear_multiview', 'training')"
        " if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
