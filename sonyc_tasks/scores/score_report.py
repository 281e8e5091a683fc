"""Score tables as Markdown for people, and as CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from sonyc_tasks.scores.score import MEASURES, Estimate, ScoreTable

_HEADINGS = {
    "source_jaccard_micro": "source Jaccard micro",
    "source_jaccard_macro": "macro",
    "source_jaccard_samples": "samples",
    "source_map": "source mAP",
    "sensor_accuracy": "sensor accuracy",
}
_MISSING = "—"
_LEGEND = """\
In brackets: 95 % interval, bootstrap over the test clips. Jaccard index at probability 0.5; a clip without labels for
which none is predicted counts as 1. DSC private: source Jaccard micro, private minus shared view. DSC shared: sensor
accuracy, shared minus private view. Both are paired over clips."""


def markdown(tables: Iterable[ScoreTable]) -> str:
    """A table per model, a row per view; then the differences between its private and shared part.

    Every score is followed by its 95 % interval; "—" stands for results that are not there.
    """
    return "\n\n".join([*map(_model, tables), _LEGEND]) + "\n"


def write_csv(tables: Iterable[ScoreTable], path: str | Path) -> None:
    """One row per score: model, view, measure, value, low, high, clips. The file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "view", "measure", "value", "low", "high", "clips"))
    for table in tables:
        for view, measure, score in _all_scores(table):
            writer.writerow((table.model, view, measure, score.value, score.low, score.high, score.clips))
    _write(path, text.getvalue())


def write_json(tables: Iterable[ScoreTable], path: str | Path) -> None:
    """A list of :class:`~sonyc_tasks.scores.score.ScoreTable`, field by field. The file appears whole or not at all."""
    _write(path, json.dumps([asdict(table) for table in tables], indent=1) + "\n")


def _all_scores(table: ScoreTable) -> Iterator[tuple[str, str, Estimate]]:
    for row in table.views:
        for measure in MEASURES:
            score = getattr(row, measure)
            if score is not None:
                yield row.view, measure, score
    for measure in ("dsc_private", "dsc_shared"):
        score = getattr(table, measure)
        if score is not None:
            yield "", measure, score


def _model(table: ScoreTable) -> str:
    rows = [["view", *_HEADINGS.values(), "test clips source / sensor"]]
    for row in table.views:
        clips = (_clips(row.source_map), _clips(row.sensor_accuracy))
        rows.append([row.view, *(_cell(getattr(row, measure)) for measure in _HEADINGS), " / ".join(clips)])
    differences = f"DSC private {_cell(table.dsc_private, '+')}    DSC shared {_cell(table.dsc_shared, '+')}"
    notes = (textwrap.fill(note, 120, break_long_words=False) for note in table.notes)
    return "\n\n".join([f"### {table.model}", _grid(rows), differences, *notes])


def _cell(score: Estimate | None, sign: str = "") -> str:
    if score is None:
        return _MISSING
    interval = _MISSING if score.low is None else f"{score.low:{sign}.3f}, {score.high:{sign}.3f}"
    return f"{score.value:{sign}.3f} [{interval}]"


def _clips(score: Estimate | None) -> str:
    return _MISSING if score is None else str(score.clips)


def _grid(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _write(path: str | Path, text: str) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
