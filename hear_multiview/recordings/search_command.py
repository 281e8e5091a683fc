"""``python -m hear_multiview search``: what sounds, or was recorded, like this."""

from __future__ import annotations

import argparse
from pathlib import Path

from hear_multiview.recordings.command import Command, needs_extra


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", type=Path, help="a table that `embed` wrote")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("query", metavar="QUERY", nargs="?", type=Path, help="a recording; or give --row")
    query.add_argument("--row", type=int, metavar="N", help="a row of the table instead, counted from 0")
    parser.add_argument("--view", metavar="VIEW", help="what to compare: private, shared, … (the table's own view)")
    parser.add_argument("-k", type=int, default=10, metavar="K", help="how many rows to find (%(default)s)")
    parser.add_argument(
        "--play", type=Path, metavar="PAGE", help="also write a page to listen to the query and the hits"
    )
    parser.add_argument("--model", metavar="MODEL", help="where the table's checkpoint is now (where it was)")


def _run(options: argparse.Namespace) -> int:
    from hear_multiview.recordings.places import Stretch
    from hear_multiview.recordings.query import columns_for, embed_query
    from hear_multiview.recordings.search import search
    from hear_multiview.recordings.table import open_table
    from sonyc_tasks.scores.text_tables import markdown_table

    if options.play is not None:
        with needs_extra():
            from hear_multiview.recordings.pages.listening import write_listening_page
    table = open_table(options.table)
    view = options.view or table.metadata["view"]
    columns = columns_for(table, view, options.model)
    if options.row is None:
        query, length = embed_query(table, view, options.query, options.model)
        heard = Stretch(options.query, 0.0, length)
    elif 0 <= options.row < len(table):
        query = table.row(options.row)[columns]
        heard = Stretch.of_row(table, options.row)
    else:
        raise ValueError(f"{table.file} has no row {options.row}; give one from 0 to {len(table) - 1}")
    hits = search(table, query, options.k, columns, options.row)
    if options.play is not None:
        write_listening_page(options.play, table, heard, hits, view)
    rows = [
        [str(rank), f"{hit.similarity:.4f}", table.paths[hit.row], Stretch.of_row(table, hit.row).seconds]
        for rank, hit in enumerate(hits, 1)
    ]
    print(markdown_table(["rank", "similarity", "recording", "from–to"], rows, "rrlr"))
    if options.play is not None:
        print(f"written: {options.play}")
    return 0


COMMAND = Command(
    "find the recordings that are most like one",
    "Reads a table that `embed` wrote and compares every row with a recording, embedded by the same model, or with "
    "another row: by cosine similarity, exactly, in bounded memory. With --view private it finds what sounds like "
    "this, wherever it was recorded, and with --view shared what was recorded here, whatever sounds; a table of the "
    "joint view has both. Prints rank, similarity, recording and the stretch of it; writes only the page of --play.",
    _arguments,
    _run,
)
