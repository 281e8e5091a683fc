"""Pairs by design: two scenes, each heard by the same two sensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.records import Clip
from training.data.views import Examples, ViewSampler

#: Which of an example's two scenes, and which of its two sensors, each of the four views is of.
SCENES, SENSORS = (0, 0, 1, 1), (0, 1, 0, 1)


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
    views = np.stack([first, other], axis=1)[:, SCENES]
    # The first view of a scene leads, and so does the first of a sensor.
    return Examples(views, aligned=tuple(map(SCENES.index, SCENES)), sensors=tuple(map(SENSORS.index, SENSORS)))


VIEWS: dict[str, ViewSampler] = {"scenes_and_sensors": scenes_and_sensors}
