"""A comparison of modules as Markdown, CSV, a self-contained HTML page and a figure.

With the same libraries, the same comparison gives the same bytes: no dates are written.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sonyc_tasks.files import write_atomic
from sonyc_tasks.page import data_uri, render
from sonyc_tasks.scores.compare import Comparison, Difference, TaskTable
from sonyc_tasks.scores.text_tables import csv_text, markdown_table, paragraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MISSING = "—"
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#57606a"  # told apart by colour-blind readers too
#: Longer names are cut in the middle, only in the figure.
_LONGEST = 44
_COLUMNS = ("task", "metric", "clips", "module", "value", "low", "high", "reference")
_TESTED = ("difference", "difference_low", "difference_high", "p", "p_holm")


def markdown(comparison: Comparison) -> str:
    """Format one table per task with one row per module, the best first; then a legend and what was left out."""
    parts = []
    for table in comparison.tables:
        grid = markdown_table(_heading(table), _rows(table))
        parts += [f"### {_title(table)}", grid, *map(paragraph, table.notes)]
    return "\n\n".join([*parts, *map(paragraph, (_legend(comparison), *comparison.notes))]) + "\n"


def write_report(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write compare.md, .csv, .html, .png and .pdf into ``folder``, and return their paths.

    Raises:
        ValueError: matplotlib is not installed.
    """
    figures = figure(comparison)
    texts = {"md": markdown(comparison), "csv": _csv(comparison), "html": _page(comparison, figures["png"])}
    contents = {**{form: text.encode() for form, text in texts.items()}, **figures}
    paths = [Path(folder) / f"compare.{form}" for form in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomic(path, content)
    return paths


def figure(comparison: Comparison) -> dict[str, bytes]:
    """Draw one panel per task, with a dot and its interval for each module, the best on top.

    The module that the others are compared with has another colour. A hollow dot has no interval, as it is heareval's
    own number.

    Returns:
        The contents of the files: "png" and "pdf".

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
        "line: 95 % interval over test clips; orange: the module that the others are compared with",
        fontsize=8,
        color=_GREY,
    )
    undated: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    contents = {}
    for form, metadata in undated.items():
        content = io.BytesIO()
        drawing.savefig(content, format=form, dpi=150, metadata=metadata)
        contents[form] = content.getvalue()
    return contents


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
        "In brackets: 95 % interval, bootstrap over test clips; for differences, paired by clip. Scores of k folds are "
        "the mean over folds, as in heareval. p: two-sided permutation test that exchanges two modules' predictions "
        f"clip by clip, {comparison.draws:,} draws. p (Holm): corrected for the {tests} tests of all tables, but not "
        "for choosing the best module of a table as reference. Other sensors or other seeds are not covered."
    )


def _csv(comparison: Comparison) -> str:
    rows: list[Sequence[object]] = []
    for table in comparison.tables:
        tested = {difference.module: difference for difference in table.differences}
        for score in table.scores:
            one = tested.get(score.module)
            test = (None,) * len(_TESTED) if one is None else (one.value, one.low, one.high, one.p, one.p_holm)
            value = None if math.isnan(score.value) else score.value
            first = (table.task, table.metric, table.clips, score.module, value, score.low, score.high)
            rows.append((*first, table.reference, *test))
    return csv_text((*_COLUMNS, *_TESTED), rows)


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
            # Not error bars: a bootstrap interval may exclude the score, and error bars take no negative length.
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
    """Shorten a long name to its beginning and its end.

    >>> len(_short("hear_multiview-" + "x" * 60)), _short("mel")
    (44, 'mel')
    """
    half = (_LONGEST - 1) // 2
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1 - half]}…{name[-half:]}"
