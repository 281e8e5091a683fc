"""Classes that the test clips cannot measure: what heareval's scores make of them, and where they are named."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from sonyc_tasks.scores.compare import compare
from sonyc_tasks.scores.compare_report import markdown, write_report

Write = Callable[..., Path]
Fold = Callable[..., dict[str, np.ndarray]]
Plain = Mapping[str, Callable[[np.ndarray, np.ndarray], float]]

pytestmark = pytest.mark.filterwarnings("ignore:.*nothing tells", "ignore:No positive class", "ignore:Only one class")
NAMES = "idx,label\n1,rail\n0,crow\n2,<jay>\n"  # the order of the lines is not that of the columns


def without(part: dict[str, np.ndarray], column: int, everywhere: bool = False) -> dict[str, np.ndarray]:
    target = part["target"].copy()
    target[:, column] = everywhere
    return {**part, "target": target}


def name(*folders: Path) -> None:
    for folder in folders:
        (folder / "labelvocabulary.csv").write_text(NAMES)


def test_map_counts_an_absent_class_as_0(tmp_path: Path, write: Write, fold: Fold) -> None:
    part = without(fold(1, 0.4), 2)
    perfect = {**part, "prediction": part["target"].astype(np.float32)}
    name(write("a", part, metric="mAP"), write("perfect", perfect, metric="mAP"))
    comparison = compare([tmp_path / "embeddings"], resamples=5)
    (table,) = comparison.tables
    (note,) = table.notes
    assert "<jay>" in note
    best = average_precision_score(part["target"], part["target"], average="macro")
    assert table.scores[0].value == pytest.approx(best)
    assert f"{best:.3f}" in note
    assert "<jay>" in markdown(comparison).replace("\n", " ")
    write_report(comparison, tmp_path / "out")
    assert "&lt;jay&gt;" in (tmp_path / "out" / "compare.html").read_text()


def test_complete_classes_need_no_note(tmp_path: Path, write: Write, fold: Fold) -> None:
    for metric in ("mAP", "aucroc", "top1_acc"):
        for module in "ab":
            write(module, fold(1, 0.4), metric=metric, root=metric)
        assert compare([tmp_path / metric], resamples=5).tables[0].notes == ()


@pytest.mark.parametrize("everywhere", [False, True])
def test_d_prime_without_value_is_undefined(tmp_path: Path, write: Write, fold: Fold, everywhere: bool) -> None:
    part = without(fold(1, 0.4), 1, everywhere)
    value = float(np.mean(norm.ppf(roc_auc_score(part["target"], part["prediction"], average=None)) * 2**0.5))
    assert np.isnan(value)
    name(*(write(module, part, metric="d_prime", scores={"test": value}) for module in "ab"))
    comparison = compare([tmp_path / "embeddings"], resamples=5)
    (note,) = comparison.tables[0].notes
    assert "rail" in note
    text = markdown(comparison)
    assert "undefined" in text
    assert "nan" not in text.lower()
    write_report(comparison, tmp_path / "out")
    assert {row["value"] for row in csv.DictReader((tmp_path / "out" / "compare.csv").open())} == {""}


def test_the_area_of_the_other_classes_is_called_so(tmp_path: Path, write: Write, fold: Fold, plain: Plain) -> None:
    parts = [fold(1, 0.4), without(fold(2, 0.4), 0)]
    whole = plain["aucroc"](parts[0]["target"], parts[0]["prediction"])
    for module in "ab":
        name(write(module, *parts, metric="aucroc", scores={"fold00": whole, "fold01": float("nan")}))
    (note,) = compare([tmp_path / "embeddings"], resamples=5).tables[0].notes
    assert "crow" in note
    assert "fold01" in note.lower()
    assert "fold00" not in note.lower()
