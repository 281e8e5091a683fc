"""Numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

#: What stands where there is no number.
MISSING = "—"


def number(value: float | None, sign: str = "") -> str:
    """Three digits and a typographic minus; "+" as ``sign`` marks positive numbers too.

    >>> number(-0.25, "+"), number(-0.0001, "+"), number(None)
    ('−0.250', '+0.000', '—')
    """
    # Adding 0 to -0, which has the sign of nothing, gives 0.
    return MISSING if value is None else f"{round(value, 3) + 0.0:{sign}.3f}".replace("-", "−")


def estimate(value: float | None, interval: float | tuple[float, float] | None = None, sign: str = "") -> str:
    """A number with its interval, given as half its width or by its ends; without one, the number alone.

    >>> estimate(0.5, 0.02), estimate(0.5, (0.47, 0.52)), estimate(0.5)
    ('0.500 ± 0.020', '0.500 [0.470, 0.520]', '0.500')
    """
    if value is None or interval is None:
        return number(value, sign)
    if isinstance(interval, tuple):
        return f"{number(value, sign)} [{', '.join(number(end, sign) for end in interval)}]"
    return f"{number(value, sign)} ± {number(interval)}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """A Markdown table.

    Args:
        header: a cell per column.
        rows: rows of such cells.
        align: "l" or "r" per column; all are aligned to the left if empty.

    Returns:
        Lines of one width, without a newline at the end.

    >>> print(markdown_table(["a", "b"], [["x|y", "1"]], "lr"))
    | a    |  b |
    | ---- | -: |
    | x\\|y |  1 |
    """
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    align = align or "l" * len(header)
    widths = [max(2, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * (width - 1) + ("-" if side == "l" else ":") for width, side in zip(widths, align, strict=True)]
    padded = [
        [
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(row, widths, align, strict=True)
        ]
        for row in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))
