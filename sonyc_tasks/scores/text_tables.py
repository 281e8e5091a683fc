"""Tables as text: Markdown for people, CSV for programs."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Format a Markdown table whose source text is aligned, too.

    Args:
        header: Name of each column.
        rows: Cells of each row. ``|`` is escaped and line breaks become spaces.
        align: ``l`` or ``r`` for each column; left by default.

    Returns:
        The lines of the table, without a line break at the end.

    >>> print(markdown_table(["class", "clips"], [["dog", "7"], ["a|b", "12"]], align="lr"))
    | class | clips |
    |-------|------:|
    | dog   |     7 |
    | a\\|b  |    12 |
    """
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [letter == "r" for letter in align.ljust(len(widths), "l")]
    rule = "|".join("-" * (width + 1) + ("-:"[is_right]) for width, is_right in zip(widths, right, strict=True))
    lines = [
        " | ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        for row in cells
    ]
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def csv_text(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Format a table as CSV, one row per line; None becomes an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def paragraph(text: str) -> str:
    """Break ``text`` into lines of at most 120 characters; long words stay whole."""
    return textwrap.fill(text, 120, break_long_words=False)
