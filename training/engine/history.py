"""Read ``history.jsonl`` of a run: one JSON record per epoch and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read the records of a run.

    Args:
        path: the file.

    Returns:
        The records, in the order of the epochs.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: a line is not a record, for instance after an interrupted copy; the message has its number.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise ValueError(f"line {number} of {path} is not a record of a run; restore it, or delete its folder")
        records.append(record)
    return records
