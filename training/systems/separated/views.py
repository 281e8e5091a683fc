"""Views of one clip: the mixture and one of its separated channels, or two channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.records import ORIGINAL, Clip
from training.data.views import Examples, ViewSampler, with_another_rendition


def mixture_and_channel(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """A cut of a clip, and one of another rendition of it, drawn independently.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 1))


def channel_and_channel(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Cuts of two renditions of a clip other than the original, drawn independently; now and then they are the same.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    drawn = mixture_and_channel(clips, per_clip, renditions, seed)
    others = [k for k, name in enumerate(renditions) if name != ORIGINAL]
    rendition = np.random.default_rng(seed).choice(others, drawn.clips.shape)
    return Examples(drawn.clips, rendition, tuple(renditions), drawn.aligned)


VIEWS: dict[str, ViewSampler] = {
    "mixture_and_channel": mixture_and_channel,
    "channel_and_channel": channel_and_channel,
}
