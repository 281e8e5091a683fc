"""Pairs: same group, never a clip with itself, three a clip, and the paper's numbers of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from training.data.records import Clip
from training.data.views import pairs_within, same_group, two_crops_by_group
from training.systems.music.views import same_timbre

group_lists = st.lists(st.integers(0, 4), max_size=40)


@given(group_lists, st.integers(1, 5), st.integers(0, 9))
def test_pairs_share_a_sensor_and_are_two_clips(groups: list[int], per_clip: int, seed: int) -> None:
    for first, second in pairs_within(groups, per_clip, seed):
        assert first != second
        assert groups[first] == groups[second]


@given(group_lists, st.integers(1, 5))
def test_every_clip_that_can_pair_does_so_equally_often(groups: list[int], per_clip: int) -> None:
    clips = Counter(groups)
    able = [i for i, sensor in enumerate(groups) if clips[sensor] > 1]
    assert Counter(pairs_within(groups, per_clip)[:, 0].tolist()) == dict.fromkeys(able, per_clip)


def test_partners_differ_where_the_sensor_has_enough_clips() -> None:
    pairs = pairs_within([0] * 10, 3)
    assert all(len(set(pairs[pairs[:, 0] == clip, 1])) == 3 for clip in range(10))


def test_a_number_and_its_digits_are_two_groups() -> None:
    assert pairs_within([1, "1", 1, "1"], per_clip=1).tolist() == [[0, 2], [1, 3], [2, 0], [3, 1]]


def test_crops_by_group_leave_out_a_clip_that_is_alone() -> None:
    examples = two_crops_by_group([Clip(f"{k}.wav", group) for k, group in enumerate("abcab")], 2, (), 0)
    assert examples.clips.tolist() == [[k, k] for k in (0, 0, 3, 3, 1, 1, 4, 4)]
    assert examples.together is not None
    assert examples.together.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_seeded() -> None:
    groups = [0] * 20
    assert np.array_equal(pairs_within(groups, seed=1), pairs_within(groups, seed=1))
    assert not np.array_equal(pairs_within(groups, seed=1), pairs_within(groups, seed=2))


def test_no_pairs_have_the_shape_of_pairs() -> None:
    with pytest.warns(UserWarning, match="group 3 "):
        assert pairs_within([1, 2, 3]).shape == (0, 2)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=30), st.integers(1, 3), st.integers(0, 9)
)
@pytest.mark.filterwarnings("ignore:group .* has no partner")
def test_music_pairs_share_the_waveform_and_not_the_frequency(
    sounds: list[tuple[int, str]], per_clip: int, seed: int
) -> None:
    clips = [Clip(f"{k}.wav", timbre, {"frequency": (frequency,)}) for k, (timbre, frequency) in enumerate(sounds)]
    pairs = same_timbre(clips, per_clip, (), seed).clips
    for first, second in pairs:
        assert clips[first].group == clips[second].group
        assert clips[first].labels != clips[second].labels
    able = [k for k, (t, f) in enumerate(sounds) if any(t == u and f != g for u, g in sounds)]
    assert Counter(pairs[:, 0].tolist()) == dict.fromkeys(able, per_clip)


def test_a_partner_tells_nothing_of_the_frequency_but_which_it_is_not() -> None:
    clips = [Clip(f"{k}.wav", k % 4, {"frequency": (str(k // 4 % 21),)}) for k in range(4 * 21 * 25)]
    pairs = same_timbre(clips, 4, (), 0).clips
    counts = np.zeros((21, 21))
    np.add.at(counts, tuple(np.array([[int(clips[k].labels["frequency"][0]) for k in pair] for pair in pairs]).T), 1)
    assert counts.trace() == 0
    elsewhere = counts[~np.eye(21, dtype=bool)]
    assert chisquare(elsewhere).pvalue > 1e-3
    assert elsewhere.sum() == len(pairs) == 4 * len(clips)


def test_a_sound_without_a_partner_is_named() -> None:
    clips = [Clip(name, 0, {"frequency": ("low",)}) for name in ("a.wav", "b.wav")]
    with pytest.warns(UserWarning, match="clip 1,"):
        assert same_timbre(clips, 1, (), 0).clips.shape == (0, 2)


def test_the_rule_for_groups_looks_at_groups_only() -> None:
    clips = [Clip(f"{k}.wav", k % 2, {"source": ("dog",)}) for k in range(8)]
    assert np.array_equal(same_group(clips, 2, (), 5).clips, pairs_within([k % 2 for k in range(8)], 2, 5))
