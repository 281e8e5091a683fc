"""A comparison of modules for people and programs: Markdown, CSV, a page that needs no other file, and a figure.

The same comparison gives the same bytes, with the same libraries: no dates are written.
"""

from __future__ import annotations

import csv
import io
import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sonyc_tasks.page import data_uri, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sonyc_tasks.scores.compare import Comparison, Difference, TaskTable

_MISSING = "—"
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#57606a"  # told apart by colour-blind readers too
#: Names longer than this are cut in the middle, in the figure only.
_LONGEST = 44
_COLUMNS = ("task", "metric", "clips", "module", "value", "low", "high", "reference")
_TESTED = ("difference", "difference_low", "difference_high", "p", "p_holm")


def markdown(comparison: Comparison) -> str:
    """A table per task, a row per module from the best on; then what the numbers are, and what was left out."""
    parts = []
    for table in comparison.tables:
        parts += [f"### {_title(table)}", grid([_heading(table), *_rows(table)]), *map(_filled, table.notes)]
    return "\n\n".join([*parts, *map(_filled, (_legend(comparison), *comparison.notes))]) + "\n"


def write_report(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write compare.md, .csv, .html, .png and .pdf into ``folder``, each whole or not at all; returns their paths.

    Raises:
        ValueError: matplotlib is not installed.
    """
    figures = figure(comparison)
    texts = {"md": markdown(comparison), "csv": _csv(comparison), "html": _page(comparison, figures["png"])}
    contents = {**{form: text.encode() for form, text in texts.items()}, **figures}
    paths = [Path(folder) / f"compare.{form}" for form in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_whole(path, content)
    return paths


def figure(comparison: Comparison) -> dict[str, bytes]:
    """A panel a task; in it a dot with its interval for each module, the best on top, as "png" and "pdf".

    The module that the others are held against has another colour; a dot without interval, heareval's own number, is
    hollow.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError('a figure needs matplotlib; install it with pip install "matplotlib>=3.9"') from None
    tables = comparison.tables
    columns = min(2, len(tables))
    lines = math.ceil(len(tables) / columns)
    tallest = max(len(table.scores) for table in tables)
    drawing = Figure(figsize=(6.4 * columns, (0.9 + 0.28 * tallest) * lines + 0.3), layout="constrained")
    places = list(drawing.subplots(lines, columns, squeeze=False).flat)
    for axes, table in zip(places, tables, strict=False):
        _panel(axes, table)
    for axes in places[len(tables) :]:
        axes.set_axis_off()
    drawing.supxlabel(
        "line: 95 % interval over test clips; orange: what the others are held against", fontsize=8, color=_GREY
    )
    unsaid: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    contents = {}
    for form, metadata in unsaid.items():
        content = io.BytesIO()
        drawing.savefig(content, format=form, dpi=150, metadata=metadata)
        contents[form] = content.getvalue()
    return contents


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of ``rows``, of which the first is the heading; columns are aligned, bars in cells escaped."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """``rows`` as CSV, one a line; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False)


def _title(table: TaskTable) -> str:
    return f"{table.task}: {table.metric}" + (f", {table.clips} test clips" if table.clips is not None else "")


def _heading(table: TaskTable) -> list[str]:
    against = [f"minus {table.reference}", "p", "p (Holm)"] if table.reference is not None else []
    return ["module", table.metric, *against]


def _rows(table: TaskTable) -> list[list[str]]:
    tested = {difference.module: difference for difference in table.differences}
    rows = []
    for score in table.scores:
        row = [score.module, _estimate(score.value, score.low, score.high)]
        if table.reference is not None:
            row += _test(tested.get(score.module))
        rows.append(row)
    return rows


def _test(difference: Difference | None) -> list[str]:
    if difference is None:
        return [_MISSING] * 3
    value = _estimate(difference.value, difference.low, difference.high, "+")
    return [value, f"{difference.p:.4f}", f"{difference.p_holm:.4f}"]


def _estimate(value: float, low: float | None, high: float | None, sign: str = "") -> str:
    if math.isnan(value):
        return "undefined"
    interval = "" if low is None or high is None else f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{value:{sign}.3f}{interval}"


def _legend(comparison: Comparison) -> str:
    tests = sum(len(table.differences) for table in comparison.tables)
    return (
        "In brackets: 95 % interval, bootstrap over test clips; of differences paired by clip. Scores of k folds are "
        "the mean over folds, as heareval's. p: two-sided, permutation test that exchanges two modules' predictions "
        f"clip by clip, {comparison.draws:,} draws. p (Holm): corrected for the {tests} tests of all tables, but not "
        "for taking the best module of a table as reference. Nothing here speaks of other sensors or other seeds."
    )


def _csv(comparison: Comparison) -> str:
    rows: list[Sequence[object]] = [(*_COLUMNS, *_TESTED)]
    for table in comparison.tables:
        tested = {difference.module: difference for difference in table.differences}
        for score in table.scores:
            one = tested.get(score.module)
            test = (None,) * len(_TESTED) if one is None else (one.value, one.low, one.high, one.p, one.p_holm)
            value = None if math.isnan(score.value) else score.value
            first = (table.task, table.metric, table.clips, score.module, value, score.low, score.high)
            rows.append((*first, table.reference, *test))
    return csv_text(rows)


def _page(comparison: Comparison, picture: bytes) -> str:
    tables = [
        {"title": _title(table), "header": _heading(table), "rows": _rows(table), "notes": table.notes}
        for table in comparison.tables
    ]
    return render(
        Path(__file__).parents[1] / "page" / "compare.html.j2",
        title="Modules compared",
        about=[],
        picture=data_uri("image/png", picture),
        tables=tables,
        notes=[_legend(comparison), *comparison.notes],
    )


def _panel(axes: Axes, table: TaskTable) -> None:
    for place, score in enumerate(table.scores):
        colour = _ORANGE if score.module == table.reference else _BLUE
        if score.low is not None and score.high is not None:
            # Not error bars: a bootstrap's interval may lie beside the score, and these take no negative length.
            axes.plot([score.low, score.high], [place, place], color=colour, linewidth=1.2)
        filled = colour if score.low is not None else "white"
        axes.plot(score.value, place, "o", markersize=5, color=colour, markerfacecolor=filled)
    axes.set_yticks(range(len(table.scores)), [_short(score.module) for score in table.scores])
    axes.set_ylim(len(table.scores) - 0.5, -0.5)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_title(table.task, fontsize=10, parse_math=False)
    axes.set_xlabel(table.metric, fontsize=9, parse_math=False)
    axes.grid(axis="x", color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8, color=_GREY)
    axes.tick_params(axis="y", length=0)


def _short(name: str) -> str:
    """The name, or its beginning and its end if it is long.

    >>> len(_short("hear_multiview-" + "x" * 60)), _short("mel")
    (44, 'mel')
    """
    half = (_LONGEST - 1) // 2
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1 - half]}…{name[-half:]}"
