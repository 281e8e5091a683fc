"""The result tables: every printed number against numpy and the formulas, what is missing, and the three forms."""

from __future__ import annotations

import csv
import io
import math
import random
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonyc_tasks.scores.score import MEASURES
from training.systems.multiview.rows import ROWS as PAPER_ROWS
from training.systems.multiview.tables import Row, correction_note, csv_text, escaped, latex, markdown, points, table

SOURCE, SENSOR = "source_jaccard_micro", "sensor_accuracy"
BEST = "multiview_cosine_private_sample"
ROWS = [
    Row("codec", "codec, as it is", (0.583, 0.684)),
    Row("single_view", "single view", (0.582, 0.71)),
    Row("multiview_rec", "multi-view, reconstruction", (0.61, 0.739), group="rec"),
    Row(BEST, "multi-view, reconstruction + L_cos− sample", (0.633, None), group="cosine"),
    Row("multiview_mask_0.4", "one seed", group="mask"),
    Row("multiview_mask_0.6", "not run yet", (0.594, 0.733), group="mask"),
]
REFERENCES = ("codec", "single_view")
#: t_{n-1, 0.975} by n, from a printed table.
QUANTILES = {3: 4.3027, 4: 3.1824, 5: 2.7764}
MISSING = "—"

AllScores = dict[tuple[str, str, str], dict[int, float]]


@pytest.fixture(autouse=True)
def _no_warnings() -> None:
    """None of scipy's warnings about few or equal numbers is ever provoked."""
    warnings.simplefilter("error", RuntimeWarning)


@pytest.fixture
def scores() -> AllScores:
    draw = np.random.default_rng(0)
    seeds = {"codec": 5, "single_view": 5, "multiview_rec": 5, BEST: 4, "multiview_mask_0.4": 1}
    made: AllScores = {}
    for method, n in seeds.items():
        for view in ("joint", "private", "shared") if "multi" in method else ("joint",):
            for measure in (SOURCE, SENSOR, "source_map"):
                made[method, view, measure] = dict(enumerate(draw.uniform(0.55, 0.75, n).tolist()))
    return made


def grid(text: str) -> list[list[str]]:
    """All tables of the Markdown side by side, as rows of cells, the headings first."""
    found: list[list[str]] = []
    for part in text.split("\n\n"):
        lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in part.splitlines()]
        assert {len(line) for line in lines} == {len(lines[0])}
        assert all(re.fullmatch("-+:?", cell) for cell in lines.pop(1))
        assert not found or [line[0] for line in lines] == [line[0] for line in found]
        found = [[*row, *line[1:]] for row, line in zip(found, lines, strict=True)] if found else lines
    return found


def cells(text: str) -> list[dict[str, str]]:
    """The body of the Markdown tables, heading → cell; the p after a difference as "p of" that."""
    first, *lines = grid(text)
    heads = [f"p of {first[i - 1]}" if head == "p" else head for i, head in enumerate(first)]
    return [dict(zip(heads, line, strict=True)) for line in lines]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def assert_is(cell: str, values: np.ndarray) -> None:
    """The cell is the mean of the values and its half-width, to three digits."""
    value, half_width = re.sub(r" \(n=\d\)$", "", cell).split(" ± ")
    assert abs(number(value) - values.mean()) <= 0.00051
    expected = QUANTILES[len(values)] * values.std(ddof=1) / math.sqrt(len(values))
    assert abs(number(half_width) - expected) <= 0.00052


def test_every_number_is_the_formula_of_its_column(scores: AllScores) -> None:
    printed = cells(markdown(table(ROWS, scores, REFERENCES)))
    assert [line["method"] for line in printed] == [row.label for row in ROWS]
    assert [line["n"] for line in printed] == ["5", "5", "5", "4", "1", "0"]
    for line, row in zip(printed[:4], ROWS, strict=False):
        for name, key, measure in (("source", "source Jaccard", SOURCE), ("sensor", "sensor accuracy", SENSOR)):
            joint = np.array([*scores[row.method, "joint", measure].values()])
            assert_is(line[key], joint)
            for reference in {*REFERENCES} - {row.method}:
                other = np.array([*scores[reference, "joint", measure].values()])[: len(joint)]
                assert_is(line[f"{name} − {reference}"], joint - other)
                assert re.fullmatch(r"p=(\.\d{3}|1)|p<\.001", line[f"p of {name} − {reference}"])
    for line, method in zip(printed[2:4], ("multiview_rec", BEST), strict=True):
        halves = {
            (view, measure): np.array([*scores[method, view, measure].values()])
            for view in ("private", "shared")
            for measure in (SOURCE, SENSOR)
        }
        for (view, measure), values in halves.items():
            assert_is(line[f"{measure.split('_')[0]} of {view}"], values)
        assert_is(line["DSCΔ private"], halves["private", SOURCE] - halves["shared", SOURCE])
        assert_is(line["DSCΔ shared"], halves["shared", SENSOR] - halves["private", SENSOR])


def test_published_numbers_stand_alone(scores: AllScores) -> None:
    bare = [replace(row, published=(None, None)) for row in ROWS]
    ours, theirs = (cells(markdown(table(rows, scores, REFERENCES))) for rows in (bare, ROWS))
    for mine, line, row in zip(ours, theirs, ROWS, strict=True):
        differ = {head for head in line if line[head] != mine[head]}
        assert differ == {
            f"published {task}" for task, p in zip(("source", "sensor"), row.published, strict=True) if p is not None
        }
    assert [line["published source"] for line in theirs] == ["0.583", "0.582", "0.610", "0.633", MISSING, "0.594"]


def test_what_is_missing_is_a_dash(scores: AllScores) -> None:
    printed = cells(markdown(table(ROWS, scores, REFERENCES)))
    codec, one, none = printed[0], printed[4], printed[5]
    halves = [f"{task} of {view}" for task in ("source", "sensor") for view in ("private", "shared")]
    assert {codec[head] for head in (*halves, "DSCΔ private", "source − codec", "p of sensor − codec")} == {MISSING}
    assert codec["source − single_view"] != MISSING
    assert all(
        re.fullmatch(r"[+−]?0\.\d{3}", one[head]) for head in one if head in halves or head.startswith("source −")
    )
    assert {one[head] for head in one if head.startswith("p of")} == {MISSING}
    assert {none[head] for head in none if head not in ("method", "n") and "published" not in head} == {MISSING}
    assert cells(markdown(table(ROWS, {}, ["nothing"])))[0]["n"] == "0"
    assert cells(markdown(table(ROWS, scores, []))) == [
        {head: cell for head, cell in line.items() if " − " not in head} for line in printed
    ]
    assert cells(markdown(table([], scores, REFERENCES))) == []


def test_cells_of_fewer_seeds_than_the_row_say_so(scores: AllScores) -> None:
    del scores["multiview_rec", "private", SOURCE][2]
    del scores["codec", "joint", SENSOR][4]
    line = cells(markdown(table(ROWS, scores, REFERENCES)))[2]
    assert {head for head in line if "(n=4)" in line[head]} == {"source of private", "DSCΔ private", "sensor − codec"}


def test_equal_scores_give_no_nan() -> None:
    equal: AllScores = {
        ("a", "joint", SOURCE): {0: 0.6, 1: 0.7, 2: 0.65},
        ("b", "joint", SOURCE): {0: 0.6, 1: 0.7, 2: 0.65},
        ("c", "joint", SOURCE): {0: 0.5, 1: 0.6, 2: 0.55},
    }
    made = table([Row(name, name) for name in "abc"], equal, ["a"])
    printed = cells(markdown(made))
    assert [line["source − a"] for line in printed] == [MISSING, "+0.000 ± 0.000", "−0.100 ± 0.000"]
    assert [line["p of source − a"] for line in printed] == [MISSING, "p=1", MISSING]
    assert made.tests == 1
    assert "nan" not in (markdown(made) + latex(made) + csv_text(made)).lower()


def test_p_values_are_corrected_over_the_whole_table(scores: AllScores) -> None:
    made = table(ROWS, scores, REFERENCES)
    # codec with single view, and two rows of several seeds with both; each for source and sensor
    assert made.tests == 10
    assert " 10 tests " in correction_note(made)
    pairs = {
        (frozenset((line.row.method, to)), task): (of.p, of.p_holm)
        for line in made.lines
        for (to, task), of in line.differences.items()
        if of.p is not None
    }
    assert len(pairs) == 10
    largest = 0.0
    for rank, (p, corrected) in enumerate(sorted((p, c) for p, c in pairs.values() if p is not None and c is not None)):
        largest = max(largest, min(1.0, (10 - rank) * p))
        assert math.isclose(corrected, largest)
    of = made.lines[3].differences["codec", "source"]
    assert of.p is not None
    assert of.p_holm is not None
    assert of.p_holm > of.p + 0.001
    printed = cells(markdown(made))[3]["p of source − codec"]
    assert abs(float(printed.removeprefix("p=")) - of.p_holm) <= 0.00051


def test_p_is_printed_short() -> None:
    exact = {0: 0.50, 1: 0.51, 2: 0.52, 3: 0.53}
    shifted = {seed: score + 0.2 + 1e-4 * seed for seed, score in exact.items()}
    scores = {("far", "joint", SOURCE): shifted, ("at", "joint", SOURCE): exact}
    printed = cells(markdown(table([Row("far", "far")], scores, ["at"])))
    assert printed[0]["p of source − at"] == "p<.001"


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    scores = {("a", "joint", SOURCE): {0: 0.5}, ("b", "joint", SOURCE): {0: 0.5001}}
    assert cells(markdown(table([Row("a", "a")], scores, ["b"])))[0]["source − b"] == "+0.000"


def test_the_order_in_which_runs_end_changes_no_byte(scores: AllScores) -> None:
    draw = random.Random(0)
    expected = table(ROWS, scores, REFERENCES)
    for _ in range(5):
        mixed = {
            key: dict(draw.sample(list(seeds.items()), len(seeds)))
            for key, seeds in draw.sample(list(scores.items()), len(scores))
        }
        found = table(ROWS, mixed, REFERENCES)
        for form in (markdown, csv_text, latex, correction_note):
            assert form(found) == form(expected)


def test_csv_has_every_number_whole(scores: AllScores) -> None:
    made = table(ROWS, scores, REFERENCES)
    lines = list(csv.DictReader(io.StringIO(csv_text(made))))
    assert [line["method"] for line in lines] == [row.method for row in ROWS]
    best = lines[3]
    values = np.array([*scores[BEST, "joint", SOURCE].values()])
    codec = np.array([*scores["codec", "joint", SOURCE].values()])[:4]
    assert math.isclose(float(best["source"]), values.mean(), rel_tol=1e-15)
    assert (best["source_n"], best["published_source"], best["published_sensor"]) == ("4", "0.633", "")
    assert math.isclose(float(best["source_minus_codec"]), (values - codec).mean(), rel_tol=1e-12)
    assert float(best["source_minus_codec_p"]) <= float(best["source_minus_codec_p_holm"])
    assert {lines[4][head] for head in lines[4] if head.endswith(("_p", "_ci_half_width"))} == {""}
    assert MISSING not in csv_text(made)
    assert csv_text(table([], scores, [])) == ""


def test_latex_holds_the_cells_of_the_markdown_in_tabulars_that_close(scores: AllScores) -> None:
    made = table(ROWS, scores, REFERENCES)
    text = latex(made)
    blocks = re.findall(r"\\begin\{tabular\}\{(l\w+)\}\n\\toprule\n(.*?)\\bottomrule\n\\end\{tabular\}", text, re.S)
    assert len(blocks) == 3 + len(REFERENCES) == text.count(r"\begin{tabular}")
    found: list[list[str]] = [[] for _ in range(1 + len(ROWS))]
    for columns, block in blocks:
        lines = block.replace("\\midrule\n", "").splitlines()
        assert block.count(r"\midrule") == 1
        assert len(lines) == 1 + len(ROWS)
        for row, line in zip(found, lines, strict=True):
            assert line.endswith(r" \\")
            row_cells = line.removesuffix(r" \\").split(" & ")
            assert len(row_cells) == len(columns)
            row += row_cells if not row else row_cells[1:]
    assert found == [[escaped(cell) for cell in line] for line in grid(markdown(made))]
    assert_tex(text)


@given(st.text('ab &%$#_{}<>|[]*\\~^"−±×—–…Δ\n'))
@settings(max_examples=200, deadline=None)
def test_any_name_stays_one_cell(name: str) -> None:
    made = table([Row("a", name, (0.5, 0.5))], {}, ["b"])
    assert len(cells(markdown(made))) == 1
    assert_tex(latex(made))
    assert len(list(csv.DictReader(io.StringIO(csv_text(made), newline="")))) == 1


def assert_tex(text: str) -> None:
    """Characters that TeX takes for commands only where it should: braces and dollars pair, nothing beyond ASCII, no
    row that starts with an option of the end of the row before."""
    assert text.isascii()
    plain = re.sub(r"\\[&%$#_{}\\]", "", text)
    assert not set("%#_^~") & set(plain)
    depth = 0
    for c in plain:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    assert plain.count("$") % 2 == 0
    assert not set('<>|"') & set(re.sub(r"\$[^$]*\$", "", plain))
    assert not re.search(r"(\\\\|\\midrule)\s*[\[*]", text)


def test_points_are_the_multi_view_methods_with_both_halves(scores: AllScores) -> None:
    del scores[BEST, "shared", SENSOR]
    source, sensor = points(ROWS, scores)
    assert [(p.label, p.group) for p in source] == [(row.label, row.group) for row in ROWS[2:5]]
    assert [p.label for p in sensor] == [ROWS[2].label, ROWS[4].label]
    bare = [replace(row, group=None) for row in ROWS]
    assert points(bare, scores) == ([], [])
    joint, private, shared = (
        np.array([*scores["multiview_rec", view, SOURCE].values()]) for view in ("joint", "private", "shared")
    )
    for value, interval, values in (
        (source[0].overall, source[0].overall_interval, joint),
        (source[0].delta, source[0].delta_interval, private - shared),
    ):
        half_width = QUANTILES[5] * values.std(ddof=1) / math.sqrt(5)
        assert math.isclose(value, values.mean())
        assert interval is not None
        assert np.allclose(interval, (value - half_width, value + half_width), rtol=0, atol=1e-5)
    assert source[2].overall_interval is source[2].delta_interval is None
    expected = scores["multiview_mask_0.4", "shared", SENSOR][0] - scores["multiview_mask_0.4", "private", SENSOR][0]
    assert math.isclose(sensor[1].delta, expected)


def test_every_row_of_the_ablation_is_in_the_figure() -> None:
    rows = [row for row in PAPER_ROWS if row.table == 2]
    scores = {(row.method, v, m): {0: 0.5} for row in rows for v in ("joint", "private", "shared") for m in MEASURES}
    for panel in points(rows, scores):
        assert [point.group for point in panel] == [row.group for row in rows]
        groups = dict.fromkeys(point.group for point in panel)
        assert [[point.group for point in panel].count(group) for group in groups] == [1, 4, 4]
