"""The report of a comparison: the command that writes it, its files and its figure."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sonyc_tasks.__main__ import main
from sonyc_tasks.scores.compare import compare
from sonyc_tasks.scores.compare_report import figure, grid, write_report

TASK = "bees-v2-full"
# The folders hold results only; tests/sonyc_tasks/test_result_checks.py is about what else belongs there.
pytestmark = pytest.mark.filterwarnings("ignore:.*nothing tells")

Write = Callable[..., Path]
Fold = Callable[..., dict[str, np.ndarray]]


def test_the_command_and_its_files(
    tmp_path: Path, write: Write, fold: Fold, capsys: pytest.CaptureFixture[str]
) -> None:
    nasty = "<b>&$x$|_"
    write(nasty, fold(1, 0.45))
    write("mel", fold(2, 0.2))
    write("a" * 80, fold(3, 0.3))
    for out in ("out", "again"):
        assert main(["compare", str(tmp_path / "embeddings"), "--baseline", "mel", "--out", str(tmp_path / out)]) == 0
    text = capsys.readouterr().out
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / "out").iterdir())}
    assert list(files) == [f"compare.{form}" for form in ("csv", "html", "md", "pdf", "png")]
    assert files == {path.name: path.read_bytes() for path in sorted((tmp_path / "again").iterdir())}
    assert f"written: {tmp_path}/out/compare.html" in text
    assert files["compare.md"].decode() in text
    assert "<b>&$x$\\|_" in text
    rows = list(csv.DictReader(files["compare.csv"].decode().splitlines()))
    assert {row["module"] for row in rows} == {nasty, "mel", "a" * 80}
    for row in rows:
        assert row["reference"] == "mel"
        assert (row["p"] == "") == (row["module"] == "mel")
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    page = files["compare.html"].decode()
    assert "&lt;b&gt;&amp;$x$|_" in page
    assert nasty not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)|url\(|https?:", page)
    assert files["compare.png"].startswith(b"\x89PNG")
    assert files["compare.pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in files["compare.pdf"]
    assert main(["compare", str(tmp_path / "embeddings"), "--baseline", "nobody"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no module nobody")


def test_one_panel_a_task_sorted(tmp_path: Path, write: Write, fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    for task in (TASK, "crows-v1-full", "dogs-v1-full"):
        for seed, quality in enumerate((0.2, 0.45)):
            write(f"m{seed}", fold(seed, quality), task=task)
    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *given: Any, **named: Any) -> None:
        drawn.append(self)
        save(self, *given, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    comparison = compare([tmp_path / "embeddings"], resamples=20)
    assert set(figure(comparison)) == {"png", "pdf"}
    panels = [axes for axes in drawn[0].axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [TASK, "crows-v1-full", "dogs-v1-full"]
    for axes, table in zip(panels, comparison.tables, strict=True):
        assert [label.get_text() for label in axes.get_yticklabels()] == [score.module for score in table.scores]
        data = [(line.get_marker(), [float(x) for x in np.asarray(line.get_xdata())]) for line in axes.lines]
        assert [x for marker, x in data if marker == "o"] == [[score.value] for score in table.scores]
        assert [x for marker, x in data if marker != "o"] == [[score.low, score.high] for score in table.scores]
        assert axes.yaxis_inverted()  # the best is on top


def test_a_report_without_matplotlib(tmp_path: Path, write: Write, fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in "ab":
        write(module, fold(1, 0.4))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"matplotlib.*pip install"):
        write_report(compare([tmp_path / "embeddings"], resamples=20), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_grid() -> None:
    assert grid([["a", "bb"], ["c|d", "e"]]) == "| a    | bb |\n|------|----|\n| c\\|d | e  |"


def test_help_says_what_is_read_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    text = capsys.readouterr().out
    assert "Reads" in text
    assert "Writes" in text
