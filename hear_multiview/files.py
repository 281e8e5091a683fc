"""Files written whole or not at all, locks, digests and errors: what the model takes from `sonyc_tasks`."""

from sonyc_tasks.files import explained, file_digest, first_line, replacing, sweep, sync
from sonyc_tasks.locks import held

__all__ = ["explained", "file_digest", "first_line", "held", "replacing", "sweep", "sync"]
