"""A run's folder: what it is of, its history, and the state from which it resumes. Every file is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from sonyc_tasks.files import replacing, write_atomic
from training.engine.history import read_history


def check_or_write_manifest(
    path: Path,
    made_of: Mapping[str, Any],
    *,
    noted: Callable[[], Mapping[str, Any]] = dict,
    older: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Record in ``path`` what its folder is made of, or check that it is made of the same.

    Args:
        made_of: what has to be the same.
        noted: gives what a new record says, too; an existing one may say otherwise.
        older: what an entry stands for that a record of an earlier version lacks.

    Returns:
        The record.

    Raises:
        ValueError: the folder was made of something else, or the record is damaged.
    """
    wanted = dict(json.loads(json.dumps(made_of)))
    if not path.exists():
        record = {**noted(), **wanted}
        write_atomic(path, json.dumps(record) + "\n")
        return record
    try:
        found = {**older, **dict(json.loads(path.read_text(encoding="utf-8")))}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it, or delete {path.parent}") from error
    if differs := [name for name in made_of if found.get(name) != wanted[name]]:
        raise ValueError(
            f"{path.parent} was made with another {' and another '.join(differs)}; choose another folder, or delete it"
        )
    return found


class RunFolder:
    """One run's ``history.jsonl`` (a line an epoch) and, until it ends, ``state.pt``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_path = path / "state.pt"
        self.history_path = path / "history.jsonl"

    def history(self) -> list[dict[str, Any]]:
        """The records of all epochs so far.

        Raises:
            ValueError: a line is not a record.
        """
        return read_history(self.history_path) if self.history_path.exists() else []

    def write_history(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Replace the history by ``records``."""
        write_atomic(self.history_path, "".join(json.dumps(record) + "\n" for record in records))

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state; tensors, numbers and containers of them."""
        with replacing(self.state_path) as part:
            torch.save(dict(state), part)

    def read_state(self, device: torch.device | str) -> dict[str, Any]:
        """The state, with its tensors on ``device``; empty where there is none.

        Raises:
            ValueError: it is damaged.
        """
        if not self.state_path.exists():
            return {}
        try:
            return dict(torch.load(self.state_path, map_location=device, weights_only=True))
        except Exception as error:  # on a file that is not its own, torch's unpickler fails in any way at all
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> ValueError:
        """What to raise where the state cannot be used because of ``error``."""
        return ValueError(f"{self.state_path} is damaged ({error!r:.120}); restore it, or delete {self.path}")
