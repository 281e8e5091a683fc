"""Frames of a store that stay on a GPU in half precision, where batches are gathered without the disk or the bus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.data.arrays import FrameArrays

#: Clips that are moved at a time.
CLIPS = 64
#: The share of a GPU's free memory that frames may take; the rest is for models and activations.
SHARE = 0.5


def fits(nbytes: int, device: torch.device) -> bool:
    """Whether frames of ``nbytes`` may stay on ``device``, a GPU."""
    free, _ = torch.cuda.mem_get_info(device)
    return nbytes <= SHARE * free


class DeviceFrames:
    """All clips of one rendition on a device, float16 [clip, frame, dim]."""

    def __init__(self, arrays: FrameArrays, device: torch.device) -> None:
        """Move the frames of ``arrays`` to ``device``, some clips at a time.

        Raises:
            ValueError: a clip is not computed, cannot be read, or is not what was written.
        """
        arrays.require()
        self._frames = torch.empty(arrays.shape, dtype=torch.float16, device=device)
        for first in range(0, arrays.shape[0], CLIPS):
            clips = range(first, min(first + CLIPS, arrays.shape[0]))
            lengths = arrays.length[clips].tolist()
            for clip, half in zip(clips, arrays.read(clips, [0] * len(clips), lengths), strict=True):
                self._frames[clip, : len(half)] = torch.from_numpy(np.ascontiguousarray(half))

    def read(self, clips: Sequence[int], starts: Sequence[int], frames: int) -> Tensor:
        """``frames`` frames of each of ``clips`` from the frame in ``starts`` on, float32 [clip, frame, dim]."""
        _, longest, dim = self._frames.shape
        first = torch.tensor(clips) * longest + torch.tensor(starts)
        rows = (first[:, None] + torch.arange(frames)).flatten().to(self._frames.device)
        return self._frames.view(-1, dim).index_select(0, rows).view(len(clips), frames, dim).float()
