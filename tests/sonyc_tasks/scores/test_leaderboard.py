"""The leaderboard's row, from result files as heareval writes them, beside made-up models in the real one's format."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sonyc_tasks.__main__ import main
from sonyc_tasks.scores.leaderboard import COLUMNS, FIRST, OFFICIAL, leaderboard, rank, read_published
from sonyc_tasks.scores.results import read_heareval_score

# The folders hold results only; tests/sonyc_tasks/test_result_checks.py is about what else belongs there.
pytestmark = pytest.mark.filterwarnings("ignore:.*nothing tells")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """heareval's scores of one task of one module: one value, or one for each fold."""

    def run(module: str, task: str, *values: float, metric: str = "top1_acc", mode: str = "max") -> Path:
        folder = tmp_path / "embeddings" / module / task
        folder.mkdir(parents=True)
        names = ["test"] if len(values) == 1 else [f"fold{k:02d}" for k in range(len(values))]
        noted: dict[str, Any] = {
            name: {"test_loss": 2.0, "test_score": value, f"test_{metric}": value, "test_mAP": 0.9, "epoch": 3}
            for name, value in zip(names, values, strict=True)
        }
        if len(values) > 1:
            # heareval's own way to the mean
            mean = pd.DataFrame.from_dict(noted, orient="index").mean()
            noted["aggregated_scores"] = {f"{key}_mean": value for key, value in mean.items()}
        noted |= {"hparams": {}, "postprocessing": [], "score_mode": mode, "embedding_path": str(folder)}
        (folder / "test.predicted-scores.json").write_text(json.dumps(noted))
        return folder

    return run


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Three models that there are not; the second has no ESC-50 and no Beehive."""
    path = tmp_path / "published.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*FIRST, *COLUMNS])
        for model, esc, rest in (("Model, A", "0.9", "0.5"), ("Model B", "", "0.6"), ("Model C", "0.4", "0.7")):
            scores = [esc if column == "ESC-50" else rest for column in COLUMNS]
            writer.writerow(
                [model, "https://example.org", "2024-01-31", "" if model == "Model B" else rest, *scores[1:]]
            )
    return path


def test_the_official_tasks() -> None:
    assert len(COLUMNS) == 19
    assert len(OFFICIAL) == 20  # Beehive is two
    assert list(COLUMNS) == sorted(COLUMNS, key=str.lower)  # the leaderboard's order


def test_the_row(tmp_path: Path, write: Write) -> None:
    write("net", "esc50-v2.0.0-full", 0.5, 0.6, 0.7, 0.8, 0.95)
    write("net", "beehive_states_fold0-v2-full", 0.7, metric="aucroc")
    write("net", "beehive_states_fold1-v2-full", 0.4, metric="aucroc")
    write("net", "dcase2016_task2-hear2021-full", 0.25, metric="event_onset_200ms_fms")
    write("net", "sonyc_source-v1-full", 0.9)
    write("net", "esc50-v2.0.0-small", 0.9)
    (tmp_path / "embeddings/net/fsd50k-v1.0-full").mkdir()  # embedded, not yet predicted
    out = tmp_path / "made" / "row.csv"
    text = leaderboard(tmp_path / "embeddings", name="Net, big", out=out)
    heading, row = csv.reader(out.read_text().splitlines())
    assert heading == [*FIRST, *COLUMNS]
    there = {column: cell for column, cell in zip(heading, row, strict=True) if cell}
    assert there == {"Model": "Net, big", "Beehive": "0.55", "DCASE 2016": "0.25", "ESC-50": "0.71"}
    assert text.startswith(out.read_text())
    assert "esc50-v2.0.0-small, sonyc_source-v1-full" in text
    assert "| FSD50K               |          |\n" in text
    # the folder of the module itself will do as well
    assert leaderboard(tmp_path / "embeddings" / "net").splitlines()[1].startswith("net,,,0.55,")


def test_folds_are_averaged_as_heareval_does(write: Write) -> None:
    for values in ((0.1, 0.5, 0.9), (0.25, math.nan, 0.5)):
        file = write(f"net{values[0]}", "esc50-v2.0.0-full", *values, metric="aucroc") / "test.predicted-scores.json"
        own = read_heareval_score(file)
        expected = json.loads(file.read_text())["aggregated_scores"]
        assert own.value == pytest.approx(expected["test_score_mean"])
        assert (own.metric, list(own.values), own.larger_is_better) == ("aucroc", ["fold00", "fold01", "fold02"], True)
    assert not read_heareval_score(write("net", "x", 0.1, mode="min") / "test.predicted-scores.json").larger_is_better


def test_ranks_beside_the_published(tmp_path: Path, write: Write, published: Path) -> None:
    write("net", "esc50-v2.0.0-full", 0.5)
    write("net", "libricount-v1.0.0-hear2021-full", 0.6)
    text = leaderboard(tmp_path / "embeddings", published=published)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    by_task = {line[0]: line[1:] for line in lines if len(line) == 4}
    assert by_task["task"] == ["net", "rank", "best published"]
    assert by_task["ESC-50"] == ["0.500", "2 of 3", "0.900 Model, A"]
    assert by_task["Libricount"] == ["0.600", "2 of 4", "0.700 Model C"]  # as good as Model B
    assert by_task["Gunshot"] == ["", "", "0.700 Model C"]
    assert set(COLUMNS) <= by_task.keys()
    models = [line for line in lines if len(line) == 3]
    assert models[0] == ["Model", "ESC-50", "Libricount"]
    assert models[2:] == [
        ["**net**", "0.500", "0.600"],
        ["Model, A", "0.900", "0.500"],
        ["Model B", "", "0.600"],
        ["Model C", "0.400", "0.700"],
    ]
    # on the leaderboard already: not its own competitor
    assert "| 1 of 2 | 0.400 Model C" in leaderboard(tmp_path / "embeddings", published=published, name="Model, A")


def test_columns_are_those_of_the_published(tmp_path: Path, write: Write, published: Path) -> None:
    rows = list(csv.reader(published.read_text().splitlines()))
    published.write_text("\ufeff" + "\n".join(",".join(["new", *map('"{}"'.format, row[::-1])]) for row in rows) + "\n")
    write("net", "esc50-v2.0.0-full", 0.5)
    leaderboard(tmp_path / "embeddings", published=published, out=tmp_path / "row.csv")
    heading, row = csv.reader((tmp_path / "row.csv").read_text().splitlines())
    assert heading == ["new", *COLUMNS[::-1], *FIRST[::-1]]
    assert (row[-1], row[heading.index("ESC-50")], row[0]) == ("net", "0.5", "")


def test_rank() -> None:
    assert [rank(score, [0.7, 0.5, 0.1]) for score in (0.9, 0.7, 0.6, 0.0)] == [(1, 4), (1, 4), (2, 4), (4, 4)]
    assert rank(0.5, []) == (1, 1)


def test_half_a_beehive_is_none(tmp_path: Path, write: Write) -> None:
    write("net", "beehive_states_fold0-v2-full", 0.7)
    with pytest.raises(ValueError, match=r"embeddings.*Beehive of net"):
        leaderboard(tmp_path / "embeddings")
    write("net", "esc50-v2.0.0-full", 0.5)
    text = leaderboard(tmp_path / "embeddings")
    assert text.splitlines()[1].startswith("net,,,,,,,0.5,")
    assert "Beehive of net" in text


def test_several_modules(tmp_path: Path, write: Write) -> None:
    for module in ("net", "mel"):
        write(module, "esc50-v2.0.0-full", 0.5)
    assert [line.split(",")[0] for line in leaderboard(tmp_path / "embeddings").splitlines()[:3]] == [
        "Model",
        "mel",
        "net",
    ]
    with pytest.raises(ValueError, match=r"embeddings.*mel, net"):
        leaderboard(tmp_path / "embeddings", name="x")


def test_what_is_no_leaderboard(tmp_path: Path, published: Path) -> None:
    whole = published.read_text()
    for content, message in (
        (whole.replace("Gunshot", "Guns"), r"published\.csv.*Gunshot"),
        ("", r"published\.csv.*Model, Beehive"),
        (whole.replace("0.4", "good"), r"published\.csv.*\b3\b.*Model C"),
        (whole.replace("0.4", "nan"), r"published\.csv.*\b3\b.*Model C"),
        (whole + "Model D,x,y,0.5\n", r"published\.csv.*\b4\b.*Model D"),
    ):
        published.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_published(published)
    published.write_bytes(b"Model,\xff\n")
    with pytest.raises(ValueError, match=r"published\.csv"):
        read_published(published)


def test_the_command(tmp_path: Path, write: Write, published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("net", "esc50-v2.0.0-full", 0.5)
    folder, out = tmp_path / "embeddings", tmp_path / "row.csv"
    assert main(["leaderboard", str(folder), "--published", str(published), "--name", "N", "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert out.read_text().splitlines()[1].startswith("N,,,")
    assert main(["leaderboard", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert main(["leaderboard", str(folder), "--published", str(tmp_path / "no.csv")]) == 1
    assert "no.csv" in capsys.readouterr().err
