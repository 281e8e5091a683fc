"""Several processes that share the recordings of one command, started by ``torchrun`` or ``accelerate launch``."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import TypeVar

from torch import distributed

T = TypeVar("T")
#: A process may embed for days while another one waits. Where one dies, the launcher ends the others.
_TIMEOUT = timedelta(days=365)


def connect() -> None:
    """Connect to the other processes of the launch, if there are any. Only the first one then logs more than errors."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=_TIMEOUT)
    if rank():
        logging.getLogger("hear_multiview").setLevel(logging.ERROR)


def disconnect() -> None:
    """The end of `connect`."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def own_device(name: str) -> str:
    """``name``, or where it is ``cuda`` and there are several processes, the GPU of this one."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and world_size() > 1 else name


def gathered(value: T) -> list[T]:
    """The ``value`` of every process, in all of them; a process waits here for the others."""
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    distributed.all_gather_object(values, value)
    return values
