"""Separated channels of a clip as its renditions.

``separated(state, channel)`` is a channel of the clip as a state of the separator gives it. The channels are in the
order of their level. Those that are more than 20 dB under the mixture would be nearly silent examples: a channel that
is drawn has at least that level, since the audible ones are counted again from the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import soxr
import torch

from training.data.renditions import Maker
from training.systems.separated.separator import AUDIBLE, Separator

_states: list[Separator] = []
#: The last clip that each state has separated, and its channels. The renditions of a clip are made one after another.
_last: dict[int, tuple[np.ndarray, np.ndarray]] = {}


@contextmanager
def separating(states: Sequence[Separator]) -> Iterator[None]:
    """Let ``separated(k, channel)`` be made by ``states[k]`` within the block."""
    before = list(_states)
    _states[:] = states
    _last.clear()
    try:
        yield
    finally:
        _states[:] = before
        _last.clear()


def separated(audio: np.ndarray, sample_rate: int, state: float, channel: float) -> np.ndarray:
    """The audible channel number ``channel``, the loudest first, of ``audio`` [sample], separated by ``state``.

    Raises:
        ValueError: there is no such state or channel.
    """
    name = f"separated({state:g},{channel:g})"
    if not _states:
        raise ValueError(f"rendition {name} needs a separator; run `python -m training separated`, which trains it")
    if state not in range(len(_states)):
        raise ValueError(f"rendition {name} has no such state; choose one from 0 to {len(_states) - 1}")
    separator = _states[int(state)]
    if channel not in range(separator.sources):
        raise ValueError(f"rendition {name} has no such channel; choose one from 0 to {separator.sources - 1}")
    key = int(state)
    if key not in _last or not np.array_equal(_last[key][0], audio):
        _last[key] = audio, audible_channels(separator, audio, sample_rate)
    channels = _last[key][1]
    return channels[int(channel) % len(channels)]


def audible_channels(separator: Separator, audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """The channels of ``audio`` [sample] that are at most 20 dB under it, the loudest first, [channel, sample].

    The loudest is always there.
    """
    theirs = soxr.resample(audio, sample_rate, separator.sample_rate)
    channels = separator.separate(torch.from_numpy(np.ascontiguousarray(theirs, np.float32))[None])[0].numpy()
    levels = np.sqrt(np.square(channels, dtype=np.float64).mean(1))
    order = np.argsort(-levels, kind="stable")
    count = max(1, int((levels >= AUDIBLE * np.sqrt(np.square(theirs, dtype=np.float64).mean())).sum()))
    kept = [soxr.resample(channels[k], separator.sample_rate, sample_rate) for k in order[:count]]
    # Resampling there and back may add or take a sample at the end.
    return np.stack([np.pad(c, (0, max(0, len(audio) - len(c))))[: len(audio)] for c in kept]).astype(np.float32)


RENDITIONS: dict[str, Maker] = {"separated": separated}
