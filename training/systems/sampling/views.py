"""Two crops of a clip, and the first one again: as it is, for another channel, with another pitch, or both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.records import Clip
from training.data.views import Examples, ViewSampler, with_another_rendition


def crops_and_copy(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Three views: two cuts of a clip, drawn independently, and the stretch of the first one once more.

    The copy differs from the first view by what augmentations draw for each.
    """
    views = np.repeat(np.arange(len(clips)), per_clip)[:, None].repeat(3, axis=1)
    return Examples(views, aligned=(0, 1, 0))


def crops_and_shifted(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Three views: two cuts of a clip, drawn independently, and the stretch of the first one in another rendition.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 1, 0))


def crops_copy_and_shifted(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Four views: those of `crops_and_copy`, and the stretch of the first one in another rendition.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 1, 0, 0))


def crop_and_another(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Two cuts of a clip, drawn independently, the second one in another rendition, such as with noise.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 1))


VIEWS: dict[str, ViewSampler] = {
    "crops_and_copy": crops_and_copy,
    "crops_and_shifted": crops_and_shifted,
    "crops_copy_and_shifted": crops_copy_and_shifted,
    "crop_and_another": crop_and_another,
}
