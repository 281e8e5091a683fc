"""The tables and the figure of the sampling system: the right number in the right cell."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.recipes import Recipe
from training.reporting.score_tables import difference_table, score_table
from training.systems.sampling import report
from training.systems.sampling.listening import views_to_hear
from training.systems.sampling.report import LABELS, MEASURES, TITLES, ReportInputs, gain_table

CLIP = Recipe("sampling_clip", "any", {"any": 1.0})
ALL = replace(CLIP, name="sampling_all", renditions=("original", "speed(0.9)", "speed(1.1)"))


def cells(table: str) -> dict[str, list[str]]:
    """Row → cells of a Markdown table."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


def scores(**rows: tuple[float, ...]) -> dict[str, dict[str, dict[int, float]]]:
    """The same scores, by seed, on every task."""
    return {row: {name: dict(enumerate(values)) for name in MEASURES} for row, values in rows.items()}


FOUND = scores(log_mel=(0.2, 0.3, 0.4), sampling_clip=(0.4, 0.5, 0.6), sampling_all=(0.5, 0.5, 0.9))


def test_scores_are_means_with_their_interval() -> None:
    half = 4.302653 * 0.1 / 3**0.5  # Student's t of two degrees of freedom; the deviation is 0.1
    row = cells(score_table(FOUND, LABELS, TITLES))["clip"]
    assert row == [f"0.500 ± {half:.3f}"] * len(MEASURES) + ["3"]


def test_differences_are_those_from_the_reference_seed_by_seed() -> None:
    found = cells(difference_table(FOUND, "sampling_clip", LABELS, TITLES))
    assert set(found) == {"log-mel statistics", "clip + frame + pitch"}
    assert found["clip + frame + pitch"][0].startswith("+0.133 ± ")
    assert found["log-mel statistics"][0] == "−0.200 ± 0.000"  # no spread, no test


def test_published_gains_stand_beside_ours() -> None:
    found = cells(gain_table(FOUND, "sampling_clip"))
    gains = 100 * np.array([0.25, 0.0, 0.5])
    assert found["tags (mAP)"][0].startswith(f"+{gains.mean():.1f} % ± ")
    assert [row[1] for row in found.values()] == ["+25 %", "+20 %", "+3.6 %"]
    for table in (score_table(FOUND, LABELS, TITLES), difference_table(FOUND, "sampling_clip", LABELS, TITLES)):
        assert "25 %" not in table


def test_a_reference_of_zero_has_no_relative_gain() -> None:
    found = scores(sampling_clip=(0.0, 0.5), sampling_all=(0.5, 1.0))
    assert cells(gain_table(found, "sampling_clip"))["tags (mAP)"][0] == "+100.0 %"
    nothing = scores(sampling_clip=(0.0,), sampling_all=(0.5,))
    assert cells(gain_table(nothing, "sampling_clip"))["tags (mAP)"][0] == "—"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Noise that is loud from 2 s to 3 s."""
    paths = []
    for k in range(4):
        wave = np.random.default_rng(k).normal(0, 0.01, 64_000)
        wave[32_000:48_000] *= 20
        paths.append(tmp_path / f"clip{k}.wav")
        soundfile.write(paths[-1], wave, 16_000)
    return paths


def test_a_report_is_a_page_a_figure_tables_and_scores(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    page, summary = report.write_report(out, ReportInputs([CLIP, ALL], FOUND, ["Something to know."], files))
    text = page.read_text(encoding="utf-8")
    assert text.count("<audio") == 3 * 4
    assert text.count("<img") == 1
    assert "Something to know." in text
    assert summary in (out / "tables.md").read_text(encoding="utf-8")
    rows = list(csv.DictReader((out / "scores.csv").open(newline="")))
    assert {(r["row"], r["measure"], int(r["seed"])): float(r["score"]) for r in rows} == {
        (row, name, seed): score
        for row, own in FOUND.items()
        for name, values in own.items()
        for seed, score in values.items()
    }
    figure = (out / "scores.png").read_bytes()
    report.write_report(out, ReportInputs([CLIP, ALL], FOUND, [], files))
    assert (out / "scores.png").read_bytes() == figure


def test_anchors_are_where_it_is_loud(files: list[Path]) -> None:
    captions = [caption for caption, _ in views_to_hear(files, [CLIP, ALL])]
    anchors = [caption for caption in captions if ": anchor, from" in caption]
    assert len(anchors) == 3
    assert all(1.9 < float(caption.split()[-2]) < 2.1 for caption in anchors)
    assert [caption.split(": ")[1].split(", from")[0] for caption in captions[:4]] == [
        "anchor",
        "positive",
        "anchor, speed(0.9)",
        "anchor, speed(1.1)",
    ]


def test_recipes_without_renditions_have_two_views_to_hear(files: list[Path]) -> None:
    assert len(views_to_hear(files[:1], [CLIP])) == 2
