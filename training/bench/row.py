"""Rows of the benchmark and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sonyc_tasks.scores.text_tables import markdown_table


@dataclass(frozen=True)
class Row:
    """One line of the benchmark's table.

    Attributes:
        what: what is measured.
        stock: the stock library's value as text, with its unit; empty if there is only a limit to compare with.
        ours: our value, likewise.
        ratio: how many times better ours is than stock; None without stock.
        limit: as text, the best value that this machine allows.
        share: the share of the limit that ours reaches, 1 at the limit; None if it does not apply.
        target: as text, what ours should reach.
        met: whether ours meets the target.
    """

    what: str
    stock: str
    ours: str
    ratio: float | None
    limit: str
    share: float | None
    target: str
    met: bool

    def __str__(self) -> str:
        return " | ".join(filter(None, [self.what, *_cells(self)[1:]]))


def table(rows: Sequence[Row]) -> str:
    """Format ``rows`` as a Markdown table."""
    header = ("what", "stock", "ours", "ratio", "limit", "share of the limit", "target", "met")
    return markdown_table(header, [_cells(row) for row in rows], "lllrlrll")


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
    share = "" if row.share is None else f"{100 * row.share:.0f} %"
    return row.what, row.stock, row.ours, ratio, row.limit, share, row.target, "met" if row.met else "not met"
