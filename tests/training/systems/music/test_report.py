"""The tables of the music system: the right number in the right cell, over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from training.systems.music import report
from training.systems.music.figures import TERMS
from training.systems.music.recipes import ABLATION, MUSIC


def of_run(base: float) -> dict[str, Any]:
    """What is measured of a run, every number another."""
    views = ("private", "shared", "joint")
    return {
        "accuracy": {v: {"timbre": base + 0.01 * k, "frequency": base + 0.001 * k} for k, v in enumerate(views)},
        "accuracy_of_draws": {v: {"timbre": base / 2, "frequency": base / 4} for v in views},
        "information_of": {v: {"timbre": base + 0.1 * k, "frequency": base + 0.2 * k} for k, v in enumerate(views)},
        "information": {"timbre": [base + 0.1 * k for k in range(8)], "frequency": [base - 0.01 * k for k in range(8)]},
        "gap": {"timbre": base, "frequency": base / 2},
    }


FOUND = {
    (recipe.name, seed): of_run(0.5 + 0.1 * seed + 0.02 * place)
    for rows in ABLATION.values()
    for place, recipe in enumerate(rows)
    for seed in range(3)
    if recipe is not MUSIC
} | {(MUSIC.name, seed): of_run(0.3 + 0.1 * seed) for seed in range(3)}
OFFICIAL = {
    (seed, view): {"timbre": 0.9 + 0.01 * seed, "frequency": 0.2}
    for seed in range(3)
    for view in ("private", "shared", "joint")
}
#: Of values 0.1 apart, three of them.
HALF_WIDTH = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"][2:]


def test_accuracies_stand_beside_the_published() -> None:
    rows = cells(report.accuracy_table(FOUND, OFFICIAL))
    mlp, probe, draw = (f"± {HALF_WIDTH / k:.3f}" for k in (1, 10, 4))
    assert rows[2] == ["shared", "timbre", f"0.410 {mlp}", "0.974", f"0.910 {probe}", f"0.200 ± {HALF_WIDTH / 2:.3f}"]
    assert rows[5] == ["joint", "frequency", f"0.402 {mlp}", "0.877", "0.200 ± 0.000", f"0.100 {draw}"]


def test_information_of_each_half() -> None:
    text = report.information_table(FOUND)
    rows = cells(text)
    assert rows[0] == ["private", "timbre", "0.30–0.80", "0.05–0.16", f"0.400 ± {HALF_WIDTH:.3f}"]
    assert rows[3] == ["shared", "frequency", "0.23–0.46", "0.08–0.16", f"0.600 ± {HALF_WIDTH:.3f}"]
    assert text.endswith(f"timbre 0.400 ± {HALF_WIDTH:.3f}, frequency 0.200 ± {HALF_WIDTH / 2:.3f}.")


def test_the_ablation_has_a_row_for_every_weight() -> None:
    rows = cells(report.ablation_table(ABLATION, FOUND))
    assert [row[:2] for row in rows] == [
        [TERMS[term][1], weight] for term in ABLATION for weight in ("0", "0.1", "0.5", "1")
    ]
    assert rows[3][2] == f"0.660 ± {HALF_WIDTH:.3f} / 0.660 ± {HALF_WIDTH:.3f}"
    own_weight = {TERMS[term][1]: f"{MUSIC.objectives[term]:g}" for term in ABLATION}
    own = [row for row in rows if row[1] == own_weight[row[0]]]
    assert len(own) == len(ABLATION)
    assert all(row[2:] == own[0][2:] for row in own)


def test_a_recipe_without_runs() -> None:
    with pytest.raises(ValueError, match="nothing"):
        report.mean_over_seeds(FOUND, "nothing", "gap", "timbre")
