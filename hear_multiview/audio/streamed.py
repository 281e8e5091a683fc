"""A recording that is read while it is embedded, so that days of audio take no more memory than minutes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

#: Samples that stay in memory behind the last one that was asked for. Within them any order is fast: a front end's
#: threads ask for parts of one chunk, `CHUNK_FRAMES` long with its context, in any order.
KEPT_SAMPLES = 1 << 21


class StreamedAudio:
    """Audio [1, sample] that a front end slices like a tensor: ``audio[:, start:stop]`` is a tensor [1, sample].

    Samples are read from the beginning to the end, and once more from the beginning where one is asked for that is no
    longer in memory. So a front end that measures the whole clip first, and then goes through it in chunks, reads it
    twice.

    Attributes:
        shape: [1, sample].
        device: where the slices are.

    >>> audio = StreamedAudio(lambda: iter([np.zeros(3, np.float32), np.ones(2, np.float32)]), 5)
    >>> audio[:, 2:4], audio.shape
    (tensor([[0., 1.]]), torch.Size([1, 5]))
    """

    def __init__(
        self, blocks: Callable[[], Iterator[np.ndarray]], length: int, device: torch.device | str = "cpu"
    ) -> None:
        """Make it of ``blocks``, which gives consecutive float32 [sample] each time it is called, ``length`` in all."""
        self.shape = torch.Size((1, length))
        self.device = torch.device(device)
        self._blocks = blocks
        self._lock = threading.Lock()
        self._rewind()

    def __len__(self) -> int:
        """Number of clips: one."""
        return 1

    @overload
    def __getitem__(self, index: slice) -> StreamedAudio: ...
    @overload
    def __getitem__(self, index: tuple[slice, slice]) -> Tensor: ...
    def __getitem__(self, index: slice | tuple[slice, slice]) -> StreamedAudio | Tensor:
        clips, samples = index if isinstance(index, tuple) else (index, None)
        if range(*clips.indices(1)) != range(1):
            raise IndexError(f"audio of one clip has no clips {clips}")
        if samples is None:
            return self
        start, stop, step = samples.indices(self.shape[1])
        if step != 1:
            raise IndexError(f"audio that is read while it is used has no step of {step}")
        with self._lock:
            found = self._read(start, max(start, stop))
        return torch.from_numpy(found)[None].to(self.device)

    def _rewind(self) -> None:
        self._source = self._blocks()
        self._held: deque[tuple[int, np.ndarray]] = deque()  # blocks, and where they begin
        self._first = self._end = 0  # samples in memory

    def _read(self, start: int, stop: int) -> np.ndarray:
        """Samples ``start`` to ``stop`` in an array of their own."""
        if start < self._first:
            self._rewind()
        while self._end < stop:
            block = next(self._source, None)
            if block is None:
                raise ValueError(f"the audio ends after {self._end} of {self.shape[1]} samples; read it again")
            self._held.append((self._end, block))
            self._end += len(block)
            while (oldest := self._held[0][0] + len(self._held[0][1])) < min(start, self._end - KEPT_SAMPLES):
                self._held.popleft()
                self._first = oldest
        parts = [block[max(start - at, 0) : max(stop - at, 0)] for at, block in self._held if at < stop]
        return np.concatenate([np.empty(0, np.float32), *parts])


#: What front ends take, [clip, sample]: all of it, or what is read while it is used.
Audio: TypeAlias = Tensor | StreamedAudio
