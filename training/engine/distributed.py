"""Several processes that work as one, on one machine or many: which part of the work is whose, and where they meet.

`accelerate launch` starts them and `join` lets them meet. Where there is one process, nothing here does anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partialmethod

import torch
from torch import Tensor, distributed
from tqdm import tqdm

#: Waiting for the slowest has no limit of its own: where a process dies, the launcher ends the others.
PATIENCE = timedelta(days=365)
#: By what a launcher tells a process which of how many it is.
_LAUNCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")


def join(device: str) -> str:
    """Meet the other processes that one `accelerate launch` (or torchrun) has started, if it has; the device of this
    one: ``device``, or where that is a GPU, one of its own. Only the main process prints, and has progress bars.

    Raises:
        ValueError: `accelerate launch --cpu`, which starts one process whatever number it is given.
    """
    if "WORLD_SIZE" not in os.environ and {"ACCELERATE_USE_CPU", "MASTER_ADDR"} <= set(os.environ):
        raise ValueError("`accelerate launch --cpu` starts one process only: launch with --multi_gpu and --device cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    # A process that this one starts, heareval above all, is not one of them.
    for name in _LAUNCH:
        os.environ.pop(name, None)
    if state.process_index:
        sys.stdout = None  # type: ignore[assignment]
        tqdm.__init__ = partialmethod(tqdm.__init__, disable=True)  # type: ignore[assignment]
    return str(state.device) if state.use_distributed and device != "cpu" else device


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def index() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def main() -> bool:
    """Whether this is the one that writes what there is only once."""
    return index() == 0


def wait() -> None:
    """Until all processes are here."""
    if count() > 1:
        distributed.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process does what is inside, then the others do, and find it done."""
    if not main():
        wait()
    yield
    if main():
        wait()


def average(tensors: Iterable[Tensor]) -> None:
    """Each of ``tensors`` becomes its mean over the processes, to the bit the same in all."""
    if count() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= count()


@dataclass(frozen=True)
class Share:
    """The part ``part`` of ``parts`` equal ones of a batch's pairs.

    With a step's losses the means over each part, and gradients averaged over the processes, a step on parts is the
    step on the whole batch up to the order of sums.
    """

    part: int
    parts: int

    def rows(self, pairs: int) -> slice:
        """Where in a batch of ``pairs`` this part lies."""
        size = pairs // self.parts
        return slice(self.part * size, (self.part + 1) * size)

    def everywhere(self, z: Tensor) -> Tensor:
        """From ``z`` [pair, …] of this part to that of the whole batch, for terms that hold each pair against every
        other. Gradients go back to the process that each row is from."""
        if self.parts == 1:
            return z
        from torch.distributed.nn.functional import all_gather

        return torch.cat(all_gather(z))

    def rand_like(self, z: Tensor) -> Tensor:
        """Uniform draws for ``z`` [pair, …]: this part's rows of those that one process would draw for the batch."""
        if self.parts == 1:
            return torch.rand_like(z)
        pairs = len(z) * self.parts
        return torch.rand((pairs, *z.shape[1:]), dtype=z.dtype, device=z.device)[self.rows(pairs)]


#: All of a batch.
WHOLE = Share(0, 1)


def share(pairs: int) -> Share:
    """This process's part of a batch of ``pairs``; all of it, in every process, where that does not divide evenly, as
    in the last batch of an epoch."""
    return Share(index(), count()) if pairs % count() == 0 else WHOLE
