"""Which renditions of a clip are the views of an example."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.records import Clip
from training.systems.separated.views import channel_and_channel, mixture_and_channel

CLIPS = [Clip(f"{k}.wav", k % 3) for k in range(50)]
RENDITIONS = ("original", *(f"separated({state},{channel})" for state in range(2) for channel in range(3)))


@pytest.mark.parametrize("sampler", [mixture_and_channel, channel_and_channel])
def test_views_are_of_one_clip_cut_on_their_own(sampler: object) -> None:
    found = sampler(CLIPS, 4, RENDITIONS, 7)  # type: ignore[operator]
    assert found.clips.shape == (200, 2)
    assert np.array_equal(found.clips[:, 0], found.clips[:, 1])
    assert np.bincount(found.clips[:, 0]).tolist() == [4] * 50
    assert found.aligned == (0, 1)
    assert found.renditions == RENDITIONS
    assert set(found.rendition[:, 1].tolist()) == set(range(1, 7))
    again = sampler(CLIPS, 4, RENDITIONS, 7)  # type: ignore[operator]
    assert np.array_equal(found.rendition, again.rendition)
    assert not np.array_equal(found.rendition, sampler(CLIPS, 4, RENDITIONS, 8).rendition)  # type: ignore[operator]
    with pytest.raises(ValueError, match="original"):
        sampler(CLIPS, 4, ("original",), 0)  # type: ignore[operator]


def test_the_first_view_is_the_mixture_or_a_channel_of_its_own() -> None:
    assert set(mixture_and_channel(CLIPS, 4, RENDITIONS, 0).rendition[:, 0].tolist()) == {0}
    first, second = channel_and_channel(CLIPS, 4, RENDITIONS, 0).rendition.T
    assert set(first.tolist()) == set(range(1, 7))
    assert 0.6 < np.mean(first != second) < 1
