"""Arrays that come and go with every batch, and whose memory is used again."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Buffers:
    """Gives out tensors, and takes back the memory of each as soon as nothing refers to it any more.

    A batch is some 100 MB. It is made in a thread, from whose arrays the C library gives every page back at once; to
    clear new ones takes ten times as long as to fill them.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def empty(self, shape: Sequence[int]) -> Tensor:
        """A float32 tensor of this ``shape``, whose content is anything."""
        size = math.prod(shape)
        try:
            memory = self._free.pop()
        except IndexError:  # other threads take from the list, too
            memory = np.empty(0, np.float32)
        if memory.size < size:  # the smaller one is dropped, so that there are never more than are in use
            memory = np.empty(size, np.float32)
        held = memory[:size]
        weakref.finalize(held, self._free.append, memory).atexit = False
        return torch.from_numpy(held).view(*shape)
