"""Two crops of a clip, and the first one again with another pitch."""

from __future__ import annotations

from collections.abc import Sequence

from training.data.records import Clip
from training.data.views import Examples, ViewSampler, with_another_rendition


def crops_and_shifted(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Three views: two cuts of a clip, drawn independently, and the stretch of the first one in another rendition.

    Raises:
        ValueError: the recipe names no rendition but the original.
    """
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 1, 0))


VIEWS: dict[str, ViewSampler] = {"crops_and_shifted": crops_and_shifted}
