"""Score tables as Markdown for people, and as CSV and JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from sonyc_tasks.files import write_atomic, write_json
from sonyc_tasks.scores.score import MEASURES, Estimate, ScoreTable
from sonyc_tasks.scores.text_tables import csv_text, markdown_table, paragraph

_HEADINGS = {
    "source_jaccard_micro": "source Jaccard micro",
    "source_jaccard_macro": "macro",
    "source_jaccard_samples": "samples",
    "source_map": "source mAP",
    "sensor_accuracy": "sensor accuracy",
}
_MISSING = "—"
_LEGEND = """\
In brackets: 95 % interval, bootstrap over the test clips. Jaccard index at probability 0.5; a clip that has no label
and gets none counts as 1. DSCΔ private: source Jaccard micro, private minus shared view. DSCΔ shared: sensor accuracy,
shared minus private view. Both are paired over clips."""


def markdown(tables: Iterable[ScoreTable]) -> str:
    """Format one table per model, one row per view, followed by the differences between the private and shared part.

    Every score is followed by its 95 % interval; "—" stands for missing results.
    """
    return "\n\n".join([*map(_model, tables), _LEGEND]) + "\n"


def write_scores_csv(tables: Iterable[ScoreTable], path: str | Path) -> None:
    """Write one row per score: model, view, measure, value, low, high, clips."""
    rows = (
        (table.model, view, measure, score.value, score.low, score.high, score.clips)
        for table in tables
        for view, measure, score in _all_scores(table)
    )
    write_atomic(Path(path), csv_text(("model", "view", "measure", "value", "low", "high", "clips"), rows))


def write_scores_json(tables: Iterable[ScoreTable], path: str | Path) -> None:
    """Write a list of `ScoreTable`, field by field."""
    write_json(Path(path), [asdict(table) for table in tables])


def _all_scores(table: ScoreTable) -> Iterator[tuple[str, str, Estimate]]:
    """Yield (view, measure, score) for the scores that exist; differences have no view."""
    named = [(row.view, measure, getattr(row, measure)) for row in table.views for measure in MEASURES]
    named += [("", measure, getattr(table, measure)) for measure in ("dsc_private", "dsc_shared")]
    yield from (one for one in named if one[2] is not None)


def _model(table: ScoreTable) -> str:
    rows = []
    for row in table.views:
        clips = (_clips(row.source_map), _clips(row.sensor_accuracy))
        rows.append([row.view, *(_cell(getattr(row, measure)) for measure in _HEADINGS), " / ".join(clips)])
    grid = markdown_table(["view", *_HEADINGS.values(), "test clips source / sensor"], rows)
    differences = f"DSCΔ private {_cell(table.dsc_private, '+')}    DSCΔ shared {_cell(table.dsc_shared, '+')}"
    return "\n\n".join([f"### {table.model}", grid, differences, *map(paragraph, table.notes)])


def _cell(score: Estimate | None, sign: str = "") -> str:
    if score is None:
        return _MISSING
    interval = _MISSING if score.low is None else f"{score.low:{sign}.3f}, {score.high:{sign}.3f}"
    return f"{score.value:{sign}.3f} [{interval}]"


def _clips(score: Estimate | None) -> str:
    return _MISSING if score is None else str(score.clips)
