"""Comparisons against scipy, sklearn and plain loops."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from sonyc_tasks.scores import metrics
from sonyc_tasks.scores.compare import ModuleScore, compare
from sonyc_tasks.scores.compare_report import markdown
from sonyc_tasks.scores.resampling import DRAWS

TASK = "bees-v2-full"
# The folders hold results only; tests/sonyc_tasks/test_result_checks.py is about what else belongs there.
pytestmark = pytest.mark.filterwarnings("ignore:.*nothing tells")

Write = Callable[..., Path]
Fold = Callable[..., dict[str, np.ndarray]]
Plain = Mapping[str, Callable[[np.ndarray, np.ndarray], float]]


def test_scores_and_intervals_are_those_of_score(
    tmp_path: Path, write: Write, fold: Fold, plain: Plain, metric: str
) -> None:
    given = {"good": fold(1, 0.5), "bad": fold(2, 0.2)}
    for module, part in given.items():
        write(module, part, metric=metric)
    (table,) = compare([tmp_path / "embeddings"], resamples=200).tables
    assert (table.task, table.metric, table.clips, table.reference) == (TASK, metric, 30, "good")
    assert [score.module for score in table.scores] == ["good", "bad"]
    ours = {
        "mAP": metrics.mean_average_precision,
        "aucroc": metrics.area_under_roc,
        "top1_acc": metrics.accuracy,
        "jaccard_micro": lambda target, prediction: metrics.jaccard(target, prediction > 0.5, "micro"),
    }[metric]
    for score in table.scores:
        target, prediction = given[score.module]["target"], given[score.module]["prediction"].astype(float)
        assert score.value == pytest.approx(plain[metric](target, prediction))
        # a slow bootstrap with the same seed, one resample after the other
        interval = metrics.bootstrap(lambda rows, t=target, p=prediction: ours(t[rows], p[rows]), 30, 200)  # type: ignore[misc]
        assert (score.low, score.high) == pytest.approx(interval)
    (difference,) = table.differences
    target, a, b = (
        given[m][k].astype(float) for m, k in (("bad", "target"), ("bad", "prediction"), ("good", "prediction"))
    )
    target = target > 0.5
    interval = metrics.bootstrap(lambda rows: ours(target[rows], a[rows]) - ours(target[rows], b[rows]), 30, 200)
    assert (difference.low, difference.high) == pytest.approx(interval)
    assert difference.value == pytest.approx(table.scores[1].value - table.scores[0].value)


def test_p_is_that_of_all_exchanges(tmp_path: Path, write: Write, fold: Fold, plain: Plain, metric: str) -> None:
    """Seven clips can be exchanged in 128 ways: all of them, one by one, instead of random ones."""
    parts = [fold(seed, quality, clips=7) for seed, quality in ((3, 0.7), (4, 0.25))]
    for module, part in zip(("one", "other"), parts, strict=True):
        write(module, part, metric=metric)
    target, (one, other) = parts[0]["target"], [part["prediction"] for part in parts]

    def difference(exchanged: np.ndarray) -> float:
        swap = exchanged[:, None]
        return plain[metric](target, np.where(swap, other, one)) - plain[metric](target, np.where(swap, one, other))

    observed = abs(difference(np.zeros(7, bool)))
    ways = [abs(difference(np.array(way, bool))) >= observed - 1e-9 for way in product((0, 1), repeat=7)]
    (table,) = compare([tmp_path / "embeddings"], resamples=10).tables
    assert table.differences[0].p == pytest.approx(np.mean(ways), abs=4 * 0.5 / DRAWS**0.5)


def test_p_of_accuracy_is_mcnemars(tmp_path: Path, write: Write, fold: Fold) -> None:
    parts = {"one": fold(1, 0.4, clips=90), "other": fold(2, 0.33, clips=90)}
    for module, part in parts.items():
        write(module, part)
    right = [part["target"].argmax(1) == part["prediction"].argmax(1) for part in parts.values()]
    only_one, only_other = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    expected = binomtest(only_one, only_one + only_other).pvalue
    assert 0.001 < expected < 0.5  # the example can tell something
    (table,) = compare([tmp_path / "embeddings"], resamples=10).tables
    assert table.differences[0].p == pytest.approx(expected, abs=0.015)


def test_k_folds_are_scored_as_heareval_does(tmp_path: Path, write: Write, fold: Fold, plain: Plain) -> None:
    folds = {
        module: [fold(seed + k, quality, clips=12 + 9 * k, labels=k) for k in range(3)]
        for module, seed, quality in (("a", 10, 0.4), ("b", 20, 0.3))
    }
    for module, parts in folds.items():
        write(module, *parts, metric="mAP")
    (table,) = compare([tmp_path / "embeddings"], resamples=50).tables
    assert table.clips == 12 + 21 + 30
    for score in table.scores:
        expected = np.mean([plain["mAP"](part["target"], part["prediction"]) for part in folds[score.module]])
        assert score.value == pytest.approx(expected)
        assert score.low is not None
        assert score.high is not None
        assert score.low < score.high
    # nothing of one fold's probe is ranked among another's: a fold's predictions may be on any scale
    for parts in folds.values():
        parts[1]["prediction"] = parts[1]["prediction"] / 1000
    for module, parts in folds.items():
        write(module, *parts, metric="mAP", root="scaled")
    (scaled,) = compare([tmp_path / "scaled"], resamples=50).tables
    assert [score.value for score in scaled.scores] == pytest.approx([score.value for score in table.scores])
    assert scaled.differences[0].p == table.differences[0].p


def test_a_fold_without_a_class_has_no_area_in_heareval(tmp_path: Path, write: Write, fold: Fold, plain: Plain) -> None:
    parts = [fold(1, 0.4), fold(2, 0.4)]
    parts[1]["target"] = np.roll(parts[1]["target"], 1, axis=1) & [[False, True, True]]
    whole = plain["aucroc"](parts[0]["target"], parts[0]["prediction"])
    for module in ("a", "b"):
        write(module, *parts, metric="aucroc", scores={"fold00": whole, "fold01": float("nan")})
    (table,) = compare([tmp_path / "embeddings"], resamples=20).tables
    rest = plain["aucroc"](parts[1]["target"][:, 1:], parts[1]["prediction"][:, 1:])
    assert [score.value for score in table.scores] == pytest.approx([(whole + rest) / 2] * 2)


def test_holm_over_all_tables_and_a_baseline(tmp_path: Path, write: Write, fold: Fold) -> None:
    for task in (TASK, "crows-v1-full"):
        for seed, quality in enumerate((0.2, 0.45, 0.3)):
            write(f"m{seed}", fold(seed, quality), task=task)
    write("m0", fold(0, 0.3), task="lonely-v1-full")
    comparison = compare([tmp_path / "embeddings"], baseline="m0", resamples=20)
    assert [table.reference for table in comparison.tables] == ["m0", "m0"]
    tests = [difference for table in comparison.tables for difference in table.differences]
    assert len(tests) == 4
    assert [one.p_holm for one in tests] == metrics.holm([one.p for one in tests])
    assert all(one.module != "m0" for one in tests)
    (note,) = comparison.notes
    assert "lonely-v1-full" in note
    assert compare([tmp_path / "embeddings"], baseline="m0", resamples=20) == comparison
    with pytest.raises(ValueError, match=r"m7.*m0, m1, m2"):
        compare([tmp_path / "embeddings"], baseline="m7")


def test_the_same_predictions_do_not_differ(tmp_path: Path, write: Write, fold: Fold) -> None:
    for module in ("a", "b"):
        write(module, fold(1, 0.4), metric="mAP")
    (difference,) = compare([tmp_path / "embeddings"], resamples=20).tables[0].differences
    assert (difference.value, difference.low, difference.high, difference.p, difference.p_holm) == (0, 0, 0, 1, 1)


def test_modules_of_one_name_in_two_folders(tmp_path: Path, write: Write, fold: Fold) -> None:
    for root in ("run1", "run2"):
        write("net", fold(1, 0.4), root=root)
    write("mel", fold(2, 0.2), root="run1")
    (table,) = compare([tmp_path / "run1", tmp_path / "run2", tmp_path / "run1"], resamples=20).tables
    assert {score.module for score in table.scores} == {"mel", f"{tmp_path}/run1/net", f"{tmp_path}/run2/net"}


def test_a_score_that_is_not_computed_here(tmp_path: Path, write: Write, fold: Fold) -> None:
    for module, value in (("a", 0.3), ("b", 0.2)):
        write(module, fold(1, 0.4), metric="d_prime", scores={"test": value}, mode="min")
    comparison = compare([tmp_path / "embeddings"])
    (table,) = comparison.tables
    assert table.scores == (ModuleScore("b", 0.2, None, None), ModuleScore("a", 0.3, None, None))  # a small one is good
    assert (table.clips, table.reference, table.differences) == (None, None, ())
    assert comparison.notes[0].startswith(f"{TASK}: ")
    assert "a, b" in comparison.notes[0]
    assert "d_prime" in comparison.notes[0]
    assert "| b      | 0.200   |" in markdown(comparison)


def test_scores_without_predictions(tmp_path: Path, write: Write, fold: Fold) -> None:
    for seed, module in enumerate(("a", "b", "c")):
        write(module, fold(seed, 0.4))
    (tmp_path / "embeddings" / "c" / TASK / "test.predictions.pkl").unlink()
    comparison = compare([tmp_path / "embeddings"], baseline="c", resamples=20)
    assert [score.module for score in comparison.tables[0].scores if score.low is None] == ["c"]
    assert [re.search(rf"^{TASK}: .*\bc\b", note) is not None for note in comparison.notes] == [True, True]
    assert comparison.tables[0].differences == ()


def test_tasks_of_events_are_left_out(tmp_path: Path, write: Write, fold: Fold) -> None:
    for module in ("a", "b"):
        write(module, fold(1, 0.4))
        write(module, fold(1, 0.4), task="dcase-v1-full", metric="event_onset_200ms_fms", scores={"test": 0.5})
    comparison = compare([tmp_path / "embeddings"], resamples=20)
    assert [table.task for table in comparison.tables] == [TASK]
    (note,) = comparison.notes
    assert "dcase-v1-full" in note


def test_results_that_do_not_belong_together(tmp_path: Path, write: Write, fold: Fold) -> None:
    write("a", fold(1, 0.4), root="labels")
    write("b", fold(1, 0.4, labels=1), root="labels")
    write("a", fold(1, 0.4), root="clips")
    write("b", fold(1, 0.4), root="clips", clips="other")
    for root in ("labels", "clips"):
        with pytest.raises(ValueError, match=rf"{TASK}.*\ba\b.*\bb\b"):
            compare([tmp_path / root])
    write("a", fold(1, 0.4), root="metrics")
    write("b", fold(1, 0.4), root="metrics", metric="mAP")
    with pytest.raises(ValueError, match=f"{TASK}.*top1_acc.*mAP"):
        compare([tmp_path / "metrics"])
    for module in "ab":
        write(module, fold(1, 0.4), root="runs", scores={"test": 0.01})
    with pytest.raises(ValueError, match=r"scores\.json.*top1_acc = 0\.01.*test\.predictions\.pkl"):
        compare([tmp_path / "runs"])


def test_folders_without_results(tmp_path: Path, write: Write, fold: Fold) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        compare([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="python -m heareval"):
        compare([tmp_path])
    folder = write("a", fold(1, 0.4))
    with pytest.raises(ValueError, match="two modules"):
        compare([tmp_path / "embeddings"])
    for text in ("{", "[]", "{}", '{"test": {"test_score": 1}}', '{"test": {"test_score": null, "test_mAP": 1}}'):
        (folder / "test.predicted-scores.json").write_text(text)
        with pytest.raises(ValueError, match=r"test\.predicted-scores\.json"):
            compare([tmp_path / "embeddings"])
