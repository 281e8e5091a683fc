from __future__ import annotations

import csv

from sonyc_tasks.scores.text_tables import csv_text, markdown_table


def test_markdown_tables_are_aligned_and_escaped() -> None:
    assert markdown_table(["a", "bb"], [["c|d", "e"]]) == "| a    | bb |\n|------|----|\n| c\\|d | e  |"
    assert markdown_table(["a", "bb"], [["c\nd", "e"]], align="lr") == "| a   | bb |\n|-----|---:|\n| c d |  e |"
    assert markdown_table(["a"], []) == "| a |\n|---|"


def test_csv_keeps_every_cell() -> None:
    rows: list[list[object]] = [[1.5, None, "a,b"], ['"', "x\ny", ""]]
    assert list(csv.reader(csv_text(["p", "q", "r"], rows).splitlines(keepends=True))) == [
        ["p", "q", "r"],
        ["1.5", "", "a,b"],
        ['"', "x\ny", ""],
    ]
