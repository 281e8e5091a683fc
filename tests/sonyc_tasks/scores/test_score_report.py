from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sonyc_tasks.scores.score import Estimate, ScoreTable, ViewScores
from sonyc_tasks.scores.score_report import markdown, write_scores_csv, write_scores_json


@pytest.fixture
def table() -> ScoreTable:
    return ScoreTable(
        "net",
        (
            ViewScores("joint", *(Estimate(n / 10, n / 10 - 0.05, n / 10 + 0.05, 40) for n in range(1, 6))),
            ViewScores("private", sensor_accuracy=Estimate(0.25, 0.2, 0.3, 41)),
        ),
        dsc_private=Estimate(0.0625, -0.5, 0.25, 40),
        dsc_shared=None,
    )


def test_markdown(table: ScoreTable) -> None:
    lines = markdown([table]).splitlines()
    assert lines[0] == "### net"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    assert cells[0] == [
        "view", "source Jaccard micro", "macro", "samples", "source mAP", "sensor accuracy",
        "test clips source / sensor",
    ]  # fmt: skip
    assert cells[2] == [
        "joint", "0.100 [0.050, 0.150]", "0.200 [0.150, 0.250]", "0.300 [0.250, 0.350]", "0.400 [0.350, 0.450]",
        "0.500 [0.450, 0.550]", "40 / 40"
    ]  # fmt: skip
    assert cells[3] == ["private", "—", "—", "—", "—", "0.250 [0.200, 0.300]", "— / 41"]
    assert len({len(line) for line in lines[2:6]}) == 1
    assert lines[7] == "DSCΔ private +0.062 [-0.500, +0.250]    DSCΔ shared —"


def test_notes_follow_their_table(table: ScoreTable, tmp_path: Path) -> None:
    noted = ScoreTable("net", table.views, None, None, ("No test clip has 8_dog.",))
    assert "No test clip has 8_dog." in markdown([noted])
    write_scores_json([noted], tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())[0]["notes"] == ["No test clip has 8_dog."]


def test_a_difference_without_interval(table: ScoreTable) -> None:
    unpaired = ScoreTable("net", table.views, Estimate(0.5, None, None, 3), None)
    assert "DSCΔ private +0.500 [—]" in markdown([unpaired])


def test_csv_has_a_row_per_score(table: ScoreTable, tmp_path: Path) -> None:
    write_scores_csv([table], tmp_path / "new" / "scores.csv")
    with (tmp_path / "new" / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7
    assert rows[0] == {
        "model": "net", "view": "joint", "measure": "source_jaccard_micro",
        "value": "0.1", "low": "0.05", "high": "0.15000000000000002", "clips": "40",
    }  # fmt: skip
    assert (rows[-1]["view"], rows[-1]["measure"], rows[-1]["value"]) == ("", "dsc_private", "0.0625")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.csv"]


def test_json_mirrors_the_dataclasses(table: ScoreTable, tmp_path: Path) -> None:
    write_scores_json([table], tmp_path / "scores.json")
    (content,) = json.loads((tmp_path / "scores.json").read_text())
    assert content["dsc_shared"] is None
    assert content["dsc_private"] == {"value": 0.0625, "low": -0.5, "high": 0.25, "clips": 40}
    assert content["views"][1]["sensor_accuracy"]["clips"] == 41
    assert content["views"][1]["source_map"] is None
