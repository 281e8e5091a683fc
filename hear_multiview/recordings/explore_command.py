"""``python -m hear_multiview explore``: a page to look at and listen to a table of embeddings."""

from __future__ import annotations

import argparse
from pathlib import Path

from hear_multiview.recordings.command import Command, needs_extra


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", type=Path, help="a table that `embed` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="PAGE", help="the page to write")
    parser.add_argument(
        "--view",
        nargs="+",
        metavar="VIEW",
        help="views to switch between, such as private shared (the table's own view)",
    )
    parser.add_argument(
        "--rows", type=int, default=10_000, metavar="N", help="rows of a larger table, drawn at random (%(default)s)"
    )
    parser.add_argument("--model", metavar="MODEL", help="where the table's checkpoint is now (where it was)")


def _run(options: argparse.Namespace) -> int:
    from hear_multiview.recordings.query import columns_for
    from hear_multiview.recordings.table import open_table

    with needs_extra():
        from hear_multiview.recordings.pages.explore import explore
    table = open_table(options.table)
    names = options.view or [table.metadata["view"]]
    shown = explore(table, options.out, {name: columns_for(table, name, options.model) for name in names}, options.rows)
    print(f"written: {options.out}, with {shown:,} of {len(table):,} rows")
    return 0


COMMAND = Command(
    "write a page to explore recordings by eye and ear",
    "Reads a table that `embed` wrote and writes a page that opens from a disk: a map of the rows, coloured by folder, "
    "by hour of the day where the file names hold a time, or by cluster; the nearest neighbours of each row; and what "
    "is typical of each group. It needs no labels. The page links to the recordings by their relative paths, so keep "
    "them together. A table of the joint view can be shown by its parts: --view private shared.",
    _arguments,
    _run,
)
