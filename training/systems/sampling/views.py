"""Two crops of a clip, and the first one again with another pitch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.data.records import ORIGINAL, Clip
from training.data.views import Examples, ViewSampler


def crops_and_shifted(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Three views: two cuts of the same clip, drawn independently, and the stretch of the first one in another
    rendition, drawn from the recipe's ``renditions``. ``per_clip`` examples of each clip.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    others = [k for k, name in enumerate(renditions) if name != ORIGINAL]
    if not others:
        raise ValueError("views 'crops_and_shifted' need a rendition besides the original; name one in the recipe")
    views = np.repeat(np.arange(len(clips)), per_clip)[:, None].repeat(3, axis=1)
    rendition = np.full_like(views, list(renditions).index(ORIGINAL))
    rendition[:, 2] = np.random.default_rng(seed).choice(others, len(views))
    return Examples(views, rendition, tuple(renditions), aligned=(0, 1, 0))


VIEWS: dict[str, ViewSampler] = {"crops_and_shifted": crops_and_shifted}
