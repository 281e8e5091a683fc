"""Read the classes of a HEAR task as heareval does, through pandas, which does not read every name as written."""

from __future__ import annotations

import csv
import io

#: What ``pandas.read_csv`` takes for a missing value by default, from pandas 2.0 to 3.1 (argument ``na_values`` in
#: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html). As a class, pandas 2 reads each as ``nan`` and
#: pandas 3 loses it, which is a KeyError in heareval; "nan" itself works with pandas 2.
MISSING_VALUES = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"}
    | {"NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)

Fault = tuple[int | None, str]


def read_vocabulary(text: str) -> tuple[dict[str, str], list[Fault]]:
    """Read labelvocabulary.csv.

    A label that only changes its spelling ("07" becomes "7") is not a fault, as clips may have the other spelling.
    Faults are labels that are lost or merged by any release of pandas from 2.0 on, and anything that is not a list of
    labels from index 0.

    Returns:
        Label as written → as heareval reads it; and faults as (line, what is wrong and what to do).
    """
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        return {}, [(reader.line_num, f"this is not CSV ({error}); write lines like 0,dog")]
    if not rows or rows[0][1] != ["idx", "label"]:
        header = ",".join(rows[0][1]) if rows else ""
        return {}, [(1, f"the header is {header!r}; write idx,label")]
    faults: list[Fault] = []
    lines: dict[str, int] = {}
    indices = []
    for line, row in rows[1:]:
        if len(row) != 2 or not (row[0].isascii() and row[0].isdecimal()):
            faults.append((line, f"{','.join(row)!r} is not an index and a label; write like 0,dog"))
            continue
        if row[1] in lines:
            faults.append((line, f"the label {row[1]} occurs twice; keep one"))
        lines.setdefault(row[1], line)
        indices.append(int(row[0]))
    if len(rows) == 1:
        faults.append((1, "there are no labels; list them from index 0"))
    elif sorted(indices) != list(range(len(indices))):
        faults.append((None, f"the indices are not 0 to {len(indices) - 1}, each once; renumber them"))
    if faults:
        return {label: label for label in lines}, faults
    return _through_pandas(text, lines)


def _through_pandas(text: str, lines: dict[str, int]) -> tuple[dict[str, str], list[Fault]]:
    import pandas as pd

    try:
        read = pd.read_csv(io.StringIO(text, newline=""))["label"]
    except Exception as error:  # pandas raises different errors in different releases
        return {}, [(None, f"pandas, which heareval uses, cannot read the file ({error}); quote the labels")]
    if len(read) != len(lines):
        found = f"pandas, which heareval uses, reads {len(read)} of the {len(lines)} labels"
        return {}, [(None, f"{found}; leave out control characters and quotes")]
    lost = [bool(missing) or label in MISSING_VALUES for label, missing in zip(lines, read.isna(), strict=True)]
    readings = {label: label if gone else str(value) for label, value, gone in zip(lines, read, lost, strict=True)}
    faults: list[Fault] = [
        (line, f"pandas, which heareval uses, loses the class {label!r}; give it another name")
        for (label, line), gone in zip(lines.items(), lost, strict=True)
        if gone
    ]
    first: dict[str, str] = {}
    for label, reading in readings.items():
        if reading in first:
            both = f"pandas, which heareval uses, reads the classes {first[reading]!r} and {label!r} both as {reading}"
            faults.append((lines[label], f"{both}; give names that are clearly text"))
        first.setdefault(reading, label)
    return readings, faults
