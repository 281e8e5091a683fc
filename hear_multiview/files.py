"""Files written whole or not at all, locks, digests and errors: what the model takes from `sonyc_tasks`."""

from sonyc_tasks.errors import exit_status, explained, first_line
from sonyc_tasks.files import file_digest, replacing, sweep, sync
from sonyc_tasks.locks import held

__all__ = ["exit_status", "explained", "file_digest", "first_line", "held", "replacing", "sweep", "sync"]
