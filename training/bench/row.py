"""A row of the benchmark, and a row as a line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was measured.

    Attributes:
        what: is measured.
        stock, ours: the two values in words, with units; ``stock`` is empty where the limit is all there is.
        ratio: how many times better than stock ours is; None without stock.
        limit: in words, what nothing on this machine could pass. share: how much of it ours reaches, 1 at the limit.
        target: in words. met: whether it is.
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
    """``rows`` as a table in Markdown."""
    head = ("what", "stock", "ours", "ratio", "limit", "share of the limit", "target", "met")
    lines = [head, ("---",) * len(head), *map(_cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
    share = "" if row.share is None else f"{100 * row.share:.0f} %"
    return row.what, row.stock, row.ours, ratio, row.limit, share, row.target, "met" if row.met else "not met"
