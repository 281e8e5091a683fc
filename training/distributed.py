"""Several processes that train as one: sharding, barriers, reductions.

`accelerate launch` starts the processes and `init` connects them. In a single process everything here does nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from sonyc_tasks.files import held_folder

#: A barrier has no limit of its own: where a process dies, the launcher ends the others.
TIMEOUT = timedelta(days=365)
#: How a launcher tells a process which of how many it is.
_LAUNCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")


def init(device: str) -> str:
    """Connect to the other processes of one `accelerate launch` (or torchrun), if there are any.

    Only the main process then logs more than errors.

    Returns:
        ``device``, or where that is a GPU and there are several processes, the GPU of this one.

    Raises:
        ValueError: `accelerate launch --cpu`, which starts one process whatever number it is given.
    """
    if "WORLD_SIZE" not in os.environ and {"ACCELERATE_USE_CPU", "MASTER_ADDR"} <= set(os.environ):
        raise ValueError("`accelerate launch --cpu` starts one process only; launch with --multi_gpu and --device cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=TIMEOUT)
    # A process that this one starts, heareval above all, is not one of them.
    for name in _LAUNCH:
        os.environ.pop(name, None)
    if not state.is_main_process:
        for package in ("training", "sonyc_tasks", "hear_multiview"):
            logging.getLogger(package).setLevel(logging.ERROR)
    return str(state.device) if state.use_distributed and device != "cpu" else device


def world_size() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes what is written once."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        distributed.barrier()


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block in the main process, then in the others, which find its work done."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def held_by_main(folder: Path) -> AbstractContextManager[None]:
    """The main process holds ``folder``, so that another command which writes to it waits."""
    return held_folder(folder) if is_main() else nullcontext()


def all_reduce_mean(tensors: Iterable[Tensor]) -> None:
    """Replace each of ``tensors`` by its mean over the processes, the same to the bit in all of them."""
    if world_size() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= world_size()


@dataclass(frozen=True)
class BatchShard:
    """Part ``index`` of ``count`` equal parts of a batch.

    With losses that are means over each shard and gradients averaged over the processes, a step on shards is the step
    on the whole batch, up to the order of sums.
    """

    index: int
    count: int

    def rows(self, examples: int) -> slice:
        """Where in a batch of ``examples`` this shard lies."""
        size = examples // self.count
        return slice(self.index * size, (self.index + 1) * size)

    def all_gather(self, z: Tensor) -> Tensor:
        """From ``z`` [example, …] of this shard to that of the whole batch, for terms that compare all examples.

        Gradients return to the process that each row came from.
        """
        if self.count == 1:
            return z
        from torch.distributed.nn.functional import all_gather

        return torch.cat(all_gather(z))

    def rand_like(self, z: Tensor) -> Tensor:
        """Uniform draws for ``z`` [example, …]: this shard's rows of what one process would draw for the batch.

        They are float32, whatever ``z`` is: in bfloat16 they would be others, and only 256 of them.
        """
        if self.count == 1:
            return torch.rand_like(z, dtype=torch.float32)
        examples = len(z) * self.count
        return torch.rand((examples, *z.shape[1:]), device=z.device)[self.rows(examples)]


#: All of a batch.
WHOLE = BatchShard(0, 1)


def shard_for(examples: int) -> BatchShard:
    """This process's shard of a batch of ``examples``; the whole batch, in every process, where that does not divide
    evenly, as in the last batch of an epoch."""
    return BatchShard(rank(), world_size()) if examples % world_size() == 0 else WHOLE
