"""Where frames lie in time, for front ends with one frame per hop, and which of them lie within the audio."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_centres(start: int, stop: int, hop: int, sample_rate: int) -> Tensor:
    """The centres ``(i + 0.5) · hop`` of the frames i from ``start`` to ``stop``, in milliseconds, float32 [frame].

    >>> frame_centres(0, 3, hop=800, sample_rate=8000)
    tensor([ 50., 150., 250.])
    """
    frames = torch.arange(start, stop, dtype=torch.float64)
    return ((frames + 0.5) * (1000 * hop / sample_rate)).float()


def frames_within(times: Tensor, samples: int, hop: float, sample_rate: int) -> int:
    """How many of the frames at ``times`` [frame], as `frame_centres` gives them, have their centre within ``samples``
    samples of audio.

    Counted in half hops, which are whole numbers: in a long clip float32 milliseconds are coarser than a sample.

    >>> [frames_within(frame_centres(0, 3, 800, 8000), samples, 800, 8000) for samples in (1999, 2000)]
    [2, 3]
    """
    half_hops = (times.double() * (sample_rate / (500 * hop))).round()
    return int((half_hops * hop <= 2 * samples).sum())
