"""Where the frames of a front end lie in time, for those that have one frame each so many samples."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_centres(samples: int, hop: int, sample_rate: int) -> Tensor:
    """The centres ``(i + 0.5) · hop`` of the frames of ``samples`` samples, in milliseconds, float32 [frame]. A last
    frame whose centre lies beyond the end of the audio is left out.

    >>> frame_centres(samples=2000, hop=800, sample_rate=8000)
    tensor([ 50., 150., 250.])
    >>> len(frame_centres(1999, 800, 8000))
    2
    """
    frames = torch.arange((2 * samples + hop) // (2 * hop), dtype=torch.float64)
    return ((frames + 0.5) * (1000 * hop / sample_rate)).float()
