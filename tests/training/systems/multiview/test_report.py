"""The results of any choice of recipes: what is written is of those that were asked for, and nothing is empty."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from training.systems.multiview import report
from training.systems.multiview.recipes import BASELINES, BEST, PAPER_RECIPES
from training.systems.multiview.report import ResultInputs, write_results
from training.systems.multiview.rows import FRONT_END, LOG_MEL, ROWS

SEEDS = 3
#: Without the best recipe; without single_view; only baselines; one.
SUBSETS = (
    ["multiview_rec", "single_view"],
    [BEST.name, "contrastive"],
    [recipe.name for recipe in BASELINES],
    ["supervised_sensor"],
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Scores are drawn at random, and the page has no clips; gives the folders whose clips it would show."""

    def scores(_: Path, given: ResultInputs, *__: object) -> dict[tuple[str, str, str], dict[int, float]]:
        draw = np.random.default_rng(0)
        return {
            (method, view, measure): dict(enumerate(draw.uniform(0.5, 0.8, SEEDS).tolist()))
            for method in (FRONT_END, LOG_MEL, *(recipe.name for recipe in given.recipes))
            for view in (("joint", "private", "shared") if "multiview" in method else ("joint",))
            for measure in ("source_jaccard_micro", "sensor_accuracy")
        }

    folders: list[Path] = []

    def gallery(_: Path, models: Iterable[Path]) -> None:
        folders.extend(models)

    monkeypatch.setattr(report, "read_all", scores)
    monkeypatch.setattr(report, "load_gallery", gallery)
    return folders


def write(folder: Path, names: list[str]) -> str:
    """The results of the recipes ``names``: the text for the terminal."""
    for method in (FRONT_END, *names):
        (folder / "seed0" / "embeddings" / method / "hear_multiview").mkdir(parents=True, exist_ok=True)
    histories = {
        f"{name}-01234567-seed0": [{"epoch": 0, "train": {"total": 1.0}, "valid": {"total": 1.0}}] for name in names
    }
    recipes = [PAPER_RECIPES[name] for name in names]
    return write_results(folder, ResultInputs(recipes, SEEDS, "demo", ["Drawn."], BEST.name, histories))[1]


@pytest.mark.parametrize("names", SUBSETS, ids="-".join)
def test_only_what_was_asked_for_is_there(names: list[str], shown: list[Path], tmp_path: Path) -> None:
    printed = write(tmp_path, names)
    for prefix in ("", "linear_"):
        tables = [list(csv.DictReader((tmp_path / f"{prefix}table{k}.csv").open())) for k in (1, 2)]
        assert {row["method"] for table in tables for row in table} == {*names, FRONT_END, LOG_MEL}
        assert all(row["n"] == str(SEEDS) for table in tables for row in table)
        columns = {column for table in tables for row in table for column in row}
        assert f"source_minus_{FRONT_END}" in columns
        assert ("source_minus_single_view" in columns) == ("single_view" in names)
        assert (tmp_path / f"{prefix}figure2.png").exists() == any("multiview" in name for name in names)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for text in (printed, page):
        for row in ROWS:
            assert (row.label in text) == (row.method in names), row.label
        assert "multi-view (" not in text or BEST.name in names
    assert shown[0].parent.name == (BEST.name if BEST.name in names else names[0])


@pytest.mark.usefixtures("shown")
def test_a_figure_of_other_recipes_is_not_left(tmp_path: Path) -> None:
    write(tmp_path, ["multiview_rec"])
    assert len(list(tmp_path.glob("*figure2.*"))) == 4
    write(tmp_path, ["single_view"])
    assert not list(tmp_path.glob("*figure2.*"))
