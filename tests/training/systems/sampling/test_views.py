"""Two crops of a clip and the first one shifted: of one clip, aligned, and with shifts that come equally often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from training.data.batches import draw_examples
from training.data.records import ORIGINAL, Clip, Partition
from training.data.store import LatentStore
from training.data.views import ViewSampler
from training.recipes import Recipe
from training.systems.sampling.views import crops_and_copy, crops_and_shifted, crops_copy_and_shifted

SHIFTS = ("pitch(-1)", ORIGINAL, "pitch(1)", "pitch(3)")


@given(count=st.integers(0, 20), per_clip=st.integers(1, 4), seed=st.integers(0, 9))
def test_three_views_of_one_clip(count: int, per_clip: int, seed: int) -> None:
    clips = [Clip(f"{k}.wav", 0) for k in range(count)]
    examples = crops_and_shifted(clips, per_clip, SHIFTS, seed)
    assert examples.clips.shape == examples.rendition.shape == (count * per_clip, 3)
    assert (examples.clips == examples.clips[:, :1]).all()
    assert Counter(examples.clips[:, 0].tolist()) == dict.fromkeys(range(count), per_clip)
    assert examples.aligned == (0, 1, 0)
    assert {SHIFTS[k] for k in examples.rendition[:, :2].ravel()} <= {ORIGINAL}
    assert {SHIFTS[k] for k in examples.rendition[:, 2]} <= {*SHIFTS} - {ORIGINAL}
    assert np.array_equal(crops_and_shifted(clips, per_clip, SHIFTS, seed).rendition, examples.rendition)


def test_shifts_come_equally_often() -> None:
    examples = crops_and_shifted([Clip(f"{k}.wav", 0) for k in range(300)], 10, SHIFTS, 0)
    counts = Counter(examples.rendition[:, 2].tolist())
    assert chisquare([counts[k] for k in (0, 2, 3)]).pvalue > 1e-3


def test_a_shifted_view_needs_a_rendition(tmp_path: Path, make_store: Callable[..., LatentStore]) -> None:
    store = make_store(tmp_path / "s", [Clip("a.wav", 0)], [np.ones((2, 8))], Partition((0,)))
    recipe = Recipe("r", "sampling", {"clip_contrast": 1.0}, views="crops_and_shifted")
    with pytest.raises(ValueError, match=r"crops_and_shifted.*rendition"):
        draw_examples(store, recipe, seed=0)


def test_only_the_positive_has_noise() -> None:
    names = ("noise(0.001)", *SHIFTS)
    examples = crops_and_shifted([Clip(f"{k}.wav", 0) for k in range(50)], 2, names, 0)
    used = np.array(examples.renditions)[examples.rendition]
    assert {*used[:, 0]} == {ORIGINAL}
    assert {*used[:, 1]} == {"noise(0.001)"}
    assert {*used[:, 2]} == {*SHIFTS} - {ORIGINAL}


@pytest.mark.parametrize("views", [crops_and_copy, crops_copy_and_shifted])
def test_a_copy_is_of_the_first_stretch(views: ViewSampler) -> None:
    examples = views([Clip("a.wav", 0), Clip("b.wav", 0)], 3, SHIFTS, 0)
    assert examples.clips[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert (examples.clips == examples.clips[:, :1]).all()
    assert examples.aligned[:3] == (0, 1, 0)
    assert {examples.renditions[k] for k in examples.rendition[:, :3].ravel()} == {ORIGINAL}
