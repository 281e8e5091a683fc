"""``history.jsonl`` of a run: a record in JSON a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_history(path: Path) -> list[dict[str, Any]]:
    """The records of ``path``, in order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no record, as an interrupted copy leaves one; the message says which.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ValueError(f"line {number} of {path} is no record of a run: restore the file, or delete its folder")
        records.append(record)
    return records
