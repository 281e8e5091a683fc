"""Views: which clips are seen together. Two clips of one sensor share where and with what they were recorded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np


def same_sensor_pairs(sensors: Sequence[int], per_clip: int = 3, seed: int = 0) -> np.ndarray:
    """Pairs of clips of one sensor: each clip with ``per_clip`` partners drawn from the others of its sensor.

    Partners are drawn without replacement while the sensor has enough clips (3 a clip gives the paper's 39k training
    pairs of 13k clips). A sensor with a single clip has no pair, and a warning names it.

    Args:
        sensors: of each clip.

    Returns:
        int64 [pair, 2], indices into ``sensors``; deterministic.

    >>> same_sensor_pairs([7, 7], per_clip=1).tolist()
    [[0, 1], [1, 0]]
    """
    rng = np.random.default_rng(seed)
    labels = np.asarray(sensors)
    pairs = []
    for clip, sensor in enumerate(labels):
        others = np.flatnonzero(labels == sensor)
        others = others[others != clip]
        if len(others):
            partners = rng.choice(others, size=per_clip, replace=len(others) < per_clip)
            pairs += [(clip, int(partner)) for partner in partners]
        else:
            warnings.warn(f"sensor {labels[clip]} has one clip only, which cannot pair: it is left out", stacklevel=2)
    return np.asarray(pairs, np.int64).reshape(-1, 2)
