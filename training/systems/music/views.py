"""Pairs of sounds of one timbre and of different frequencies, which share nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from training.data.records import Clip
from training.data.views import Examples, ViewSampler, pairs_within


def same_timbre(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Two sounds of one waveform (their group) and of different frequencies."""
    frequencies = [" ".join(clip.labels["frequency"]) for clip in clips]
    return Examples(pairs_within([clip.group for clip in clips], per_clip, seed, apart=frequencies))


VIEWS: dict[str, ViewSampler] = {"same_timbre": same_timbre}
