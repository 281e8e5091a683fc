"""Pairs by design: two scenes, each heard by the same two sensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.records import Clip
from training.data.views import Examples, ViewSampler


def scenes_and_sensors(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Four views: a scene heard by sensors 1 and 2, then another scene heard by the same two.

    Clips are dry scenes, and an augmentation draws the sensors. The two views of a scene show the same stretch of it.

    Raises:
        ValueError: there is only one clip.
    """
    if len(clips) < 2:
        raise ValueError("two scenes are needed for an example; extract more clips")
    rng = np.random.default_rng(seed)
    first = np.repeat(np.arange(len(clips)), per_clip)
    other = (first + rng.integers(1, len(clips), len(first))) % len(clips)
    return Examples(np.stack([first, first, other, other], axis=1), aligned=(0, 0, 2, 2), sensors=(0, 1, 0, 1))


VIEWS: dict[str, ViewSampler] = {"scenes_and_sensors": scenes_and_sensors}
