"""Two crops of a clip, and the first one again: as it is, for another channel, with another pitch, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.data.records import Clip
from training.data.renditions import parsed
from training.data.views import Examples, ViewSampler, with_another_rendition


def crops_and_copy(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Three views: two cuts of a clip, drawn independently, and the stretch of the first one once more.

    The copy differs from the first view by what augmentations draw for each.
    """
    views = np.repeat(np.arange(len(clips)), per_clip)[:, None].repeat(3, axis=1)
    return Examples(views, aligned=(0, 1, 0))


def crops_and_shifted(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Three views: two cuts of a clip, drawn independently, and the stretch of the first one in another rendition.

    A rendition with noise, if there is one, is the second view's: in the source, only the positive has noise.

    Raises:
        ValueError: the recipe names no other rendition but the original.
    """
    noisy = [name for name in renditions if parsed(name)[0] == "noise"]
    shifts = [name for name in renditions if name not in noisy]
    drawn = with_another_rendition(clips, per_clip, shifts, seed, aligned=(0, 1, 0))
    if noisy:
        drawn.rendition[:, 1] = len(shifts)
    return replace(drawn, renditions=(*shifts, *noisy))


def crops_copy_and_shifted(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Four views: those of `crops_and_copy`, and the stretch of the first one in another rendition.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 1, 0, 0))


VIEWS: dict[str, ViewSampler] = {
    "crops_and_copy": crops_and_copy,
    "crops_and_shifted": crops_and_shifted,
    "crops_copy_and_shifted": crops_copy_and_shifted,
}
