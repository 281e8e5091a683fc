"""Tables of the scores of several rows, such as recipes, over several seeds."""

from __future__ import annotations

from collections.abc import Mapping

from sonyc_tasks.scores.text_tables import csv_text, markdown_table
from training.reporting.seed_statistics import Mean, compare, mean
from training.reporting.text import MISSING, estimate, number

#: Row → measure → seed → score. Every row has the same measures.
Scores = Mapping[str, Mapping[str, Mapping[int, float]]]


def score_table(scores: Scores, labels: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Mean and interval of each row and measure.

    Args:
        scores: of the rows.
        labels: printed names of the rows; a row without one is printed by its own.
        titles: printed names of the measures.
    """
    there = titles_of(scores, titles)
    rows = [
        [labels.get(row, row), *(_estimate(mean(own[name])) for name in there), str(len(own[next(iter(there))]))]
        for row, own in scores.items()
    ]
    return markdown_table(["row", *there.values(), "seeds"], rows, _align(len(there) + 1))


def difference_table(scores: Scores, reference: str, labels: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Each row minus the ``reference``, with the p value of the paired t-test, corrected for all tests of the table.

    Arguments are as for `score_table`.
    """
    differences, tests = compare(scores, scores, [reference])
    there, rows = titles_of(scores, titles), []
    for row in scores:
        if row == reference:
            continue
        cells = []
        for name in there:
            found = differences[row, reference, name]
            p = "" if found.p_holm is None else f" (p {number(found.p_holm)})"
            cells.append(_estimate(found.mean, "+") + p)
        rows.append([labels.get(row, row), *cells])
    table = markdown_table(["row", *there.values()], rows, _align(len(there)))
    return f"{table}\n\np: two-sided paired t-test, corrected for {tests} tests (Holm)."


def titles_of(scores: Scores, titles: Mapping[str, str]) -> dict[str, str]:
    """Those ``titles`` of measures that there are scores of, which are the same for every row."""
    return {name: titles[name] for name in next(iter(scores.values()))}


def scores_csv(scores: Scores) -> str:
    """Every single score."""
    rows = [
        (row, name, seed, score)
        for row, own in scores.items()
        for name, of_seeds in own.items()
        for seed, score in of_seeds.items()
    ]
    return csv_text(("row", "measure", "seed", "score"), rows)


def _estimate(of: Mean | None, sign: str = "") -> str:
    return MISSING if of is None else estimate(of.value, of.ci_half_width, sign)


def _align(columns: int) -> str:
    return "l" + "r" * columns
