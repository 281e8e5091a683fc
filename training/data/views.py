"""Views: which clips are seen together, by rules that recipes name.

Two clips of one sensor share where and with what they were recorded. Two generated sounds of one waveform, which the
store keeps in the sensor's place, share their timbre; where their frequencies differ, they share nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from training.data.store import StoredClip


def same_sensor_pairs(
    sensors: Sequence[int], per_clip: int = 3, seed: int = 0, apart: Sequence[object] | None = None
) -> np.ndarray:
    """Pairs of clips of one sensor: each clip with ``per_clip`` partners drawn from the others of its sensor.

    Partners are drawn without replacement while the sensor has enough clips (3 a clip gives the paper's 39k training
    pairs of 13k clips). A sensor with a single clip has no pair, and a warning names it.

    Args:
        sensors: of each clip.
        apart: of each clip, something that it must not have in common with a partner; None asks for no such thing.

    Returns:
        int64 [pair, 2], indices into ``sensors``; deterministic.

    >>> same_sensor_pairs([7, 7], per_clip=1).tolist()
    [[0, 1], [1, 0]]
    >>> same_sensor_pairs([7, 7, 7], per_clip=1, apart=["a", "a", "b"])[:2].tolist()
    [[0, 2], [1, 2]]
    """
    rng = np.random.default_rng(seed)
    labels = np.asarray(sensors)
    members = {sensor: np.flatnonzero(labels == sensor) for sensor in set(labels.tolist())}
    kinds = None if apart is None else np.unique(np.asarray(apart), return_inverse=True)[1]
    pairs = []
    for clip, sensor in enumerate(labels.tolist()):
        others = members[sensor]
        others = others[others != clip if kinds is None else kinds[others] != kinds[clip]]
        if len(others):
            partners = rng.choice(others, size=per_clip, replace=len(others) < per_clip)
            pairs += [(clip, int(partner)) for partner in partners]
        else:
            what = "one clip only, which cannot pair: it" if apart is None else f"no partner for clip {clip}, which"
            warnings.warn(f"sensor {sensor} has {what} is left out", stacklevel=2)
    return np.asarray(pairs, np.int64).reshape(-1, 2)


def same_sensor(clips: Sequence[StoredClip], per_clip: int, seed: int) -> np.ndarray:
    """`same_sensor_pairs` of ``clips``."""
    return same_sensor_pairs([clip.sensor for clip in clips], per_clip, seed)


def same_timbre(clips: Sequence[StoredClip], per_clip: int, seed: int) -> np.ndarray:
    """Pairs of sounds of one waveform (``sensor``) and of different frequencies (``sources``)."""
    frequencies = [" ".join(clip.sources) for clip in clips]
    return same_sensor_pairs([clip.sensor for clip in clips], per_clip, seed, apart=frequencies)


#: Every view rule that a recipe may name: of the clips, partners for each and a seed, the pairs int64 [pair, 2].
VIEWS: dict[str, Callable[[Sequence[StoredClip], int, int], np.ndarray]] = {
    "same_sensor": same_sensor,
    "same_timbre": same_timbre,
}
