"""Examples and batches: what trains, what validates, and that labels stay with their clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.data.batches import HELD_OUT, batches, draw_examples, number_of_batches
from training.data.records import ORIGINAL, Clip, Partition
from training.data.renditions import maker
from training.data.store import LatentStore
from training.data.views import VIEWS, Examples
from training.recipes import Recipe

GROUPS, CLIPS = ("b", "e", "g"), 12
CLASSES = ("dog", "music", "engine")
PAIRS = Recipe("pairs", "multiview", {"reconstruction": 1.0}, batch_size=16)
ON_CLIPS = replace(PAIRS, validation="clips")


@pytest.fixture
def store(tmp_path: Path, make_store: Callable[..., LatentStore]) -> LatentStore:
    """12 clips of 3 groups; every frame of a clip holds (the clip's own index, the number of the frame)."""
    clips = [
        Clip(f"{group}{k}.wav", group, {"source": (CLASSES[k % 3], CLASSES[(k + 1) % 3])[: k % 3]})
        for group in GROUPS
        for k in range(CLIPS)
    ]
    frames = [np.stack([np.full(9, index), np.arange(9)], axis=1) for index in range(len(clips))]
    labels, renditions = {"source": CLASSES}, (ORIGINAL, "speed(2)")
    return make_store(
        tmp_path / "s", clips, frames, Partition(("b", "g"), ("e",)), dim=2, labels=labels, renditions=renditions
    )


def groups_of(store: LatentStore, examples: Examples) -> set[object]:
    return {store.clips[i].group for i in examples.clips.ravel()}


def test_groups_that_validate_do_not_train(store: LatentStore) -> None:
    examples = draw_examples(store, PAIRS, seed=0)
    assert groups_of(store, examples["train"]) == {"b", "g"}
    assert groups_of(store, examples["valid"]) == {"e"}
    assert len(examples["train"]) == 3 * 2 * CLIPS


def test_clips_that_validate_are_of_the_training_groups_and_do_not_train(store: LatentStore) -> None:
    examples = draw_examples(store, ON_CLIPS, seed=0)
    assert groups_of(store, examples["train"]) == groups_of(store, examples["valid"]) == {"b", "g"}
    held_out = set(examples["valid"].clips.ravel())
    assert not set(examples["train"].clips.ravel()) & held_out
    assert len(held_out) == 2 * max(2, CLIPS // HELD_OUT)
    assert set(draw_examples(store, ON_CLIPS, seed=1)["valid"].clips.ravel()) != held_out


def test_too_few_clips_to_hold_any_out(tmp_path: Path, make_store: Callable[..., LatentStore]) -> None:
    clips = [Clip(f"{k}.wav", k // 3) for k in range(9)]
    store = make_store(tmp_path / "few", clips, [np.ones((2, 2))] * 9, Partition((0, 1, 2)), dim=2)
    with pytest.raises(ValueError, match="valid groups 0, 1, 2 "):
        draw_examples(store, ON_CLIPS, seed=0)


def test_every_example_comes_once_with_its_own_labels(store: LatentStore) -> None:
    recipe = replace(ON_CLIPS, batch_size=5)
    examples = draw_examples(store, recipe, seed=0)["train"]
    seen = []
    for batch in batches(store, examples, recipe, seed=3):
        for view, x in enumerate(batch.views):
            for row, frames in enumerate(x):
                clip = store.clips[int(frames[0, 0])]
                classes = torch.nonzero(batch.labels["source"][view, row])[:, 0].tolist()
                assert {CLASSES[k] for k in classes} == set(clip.labels["source"])
                assert store.about.partition.train[int(batch.labels["group"][view, row])] == clip.group
        seen += [(int(a[0, 0]), int(b[0, 0])) for a, b in zip(*batch.views, strict=True)]
    assert sorted(seen) == sorted(map(tuple, examples.clips.tolist()))
    order = [[int(x[0, 0]) for x in batch.views[0]] for batch in batches(store, examples, recipe, seed=4)]
    assert order != [[int(x[0, 0]) for x in batch.views[0]] for batch in batches(store, examples, recipe, seed=3)]


def test_a_group_that_does_not_train_has_no_place(store: LatentStore) -> None:
    valid = draw_examples(store, PAIRS, seed=0)["valid"]
    assert all((batch.labels["group"] == -1).all() for batch in batches(store, valid, PAIRS, seed=0))


def test_a_group_with_one_clip_is_named_and_skipped(tmp_path: Path, make_store: Callable[..., LatentStore]) -> None:
    clips = [Clip("alone.wav", 9), *(Clip(f"{k}.wav", k % 2) for k in range(8))]
    store = make_store(tmp_path / "s9", clips, [np.ones((2, 2))] * 9, Partition((0, 9), (1,)), dim=2)
    with pytest.warns(UserWarning, match="group 9 "):
        examples = draw_examples(store, PAIRS, seed=0)
    assert 0 not in examples["train"].clips


@pytest.mark.parametrize("views", sorted(VIEWS))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), crop=st.integers(1, 9))
def test_views_of_every_sampler(store: LatentStore, views: str, seed: int, crop: int) -> None:
    """The contract: consecutive frames of one length, of the clip and rendition asked for, aligned where promised."""
    renditions = store.about.renditions
    recipe = replace(PAIRS, views=views, crop=crop, renditions=renditions, batch_size=7)
    examples = draw_examples(store, recipe, seed)["train"]
    for batch in batches(store, examples, recipe, seed):
        positions = torch.stack([x[..., 1] for x in batch.views])
        assert positions.shape[2] == crop
        assert (positions.diff(dim=-1) == 1).all()
        for view, leader in enumerate(examples.aligned):
            assert torch.equal(positions[view], positions[leader]) or leader == view
        assert [len(names) for names in batch.renditions] == [len(batch)] * len(batch.views)
        groups = torch.stack([x[:, 0, 0] for x in batch.views]).long() // CLIPS
        assert (groups[0] == groups[1]).all()
    again = draw_examples(store, recipe, seed)["train"]
    assert np.array_equal(again.clips, examples.clips)
    assert np.array_equal(again.rendition, examples.rendition)
    assert {examples.renditions[k] for k in examples.rendition.ravel()} <= set(renditions)


def test_a_batch_says_which_rendition_each_view_is(tmp_path: Path, make_store: Callable[..., LatentStore]) -> None:
    names = (ORIGINAL, "speed(2)", "speed(0.5)")
    clips, frames = [Clip(f"{k}.wav", 0) for k in range(12)], [np.zeros((9, 2))] * 12
    store = make_store(tmp_path / "r", clips, frames, Partition((0,)), dim=2, renditions=names)
    for place, name in enumerate(names):
        for clip in range(12):
            store.renditions[name].write(clip, np.full((9, 2), place))
    recipe = replace(ON_CLIPS, views="renditions", renditions=names, batch_size=5)
    seen = set[str]()
    for batch in batches(store, draw_examples(store, recipe, seed=0)["train"], recipe, seed=0):
        assert [[names.index(name) for name in view] for view in batch.renditions] == [
            x[:, 0, 0].tolist() for x in batch.to("cpu").views
        ]
        seen.update(batch.to("cpu").renditions[1])
    assert seen == {*names[1:]}


def test_views_of_two_speeds_begin_at_the_same_moment(tmp_path: Path, make_store: Callable[..., LatentStore]) -> None:
    """Frames hold their moment in hundredths of the clip."""
    held = [np.tile(np.linspace(0, 100, 101)[:, None], 2)] * 8
    clips, renditions = [Clip(f"{k}.wav", k // 4) for k in range(8)], (ORIGINAL, "speed(2)", "speed(0.5)")
    partition = Partition((0,), (1,))
    about = {"dim": 2, "renditions": renditions, "longest": 201}
    store = make_store(tmp_path / "s", clips, held, partition, **about)
    for clip in range(8):
        store.renditions["speed(2)"].write(clip, held[clip][::2])
        store.renditions["speed(0.5)"].write(clip, np.tile(np.linspace(0, 100, 201)[:, None], 2))
    recipe = replace(PAIRS, views="renditions", renditions=renditions, crop=10, examples_per_clip=20)
    starts = []
    for batch in batches(store, draw_examples(store, recipe, seed=0)["train"], recipe, seed=0):
        first, second = (x[:, 0, 0] for x in batch.views)
        starts += first.tolist()
        assert (first - second).abs().max() <= 2  # a frame of the shorter one
    assert max(starts) > 30


def test_a_view_of_another_rendition_needs_one(store: LatentStore) -> None:
    with pytest.raises(ValueError, match="rendition"):
        draw_examples(store, replace(PAIRS, views="renditions"), seed=0)


def test_augmentations_hang_on_seed_example_and_view_only(store: LatentStore) -> None:
    recipe = replace(PAIRS, views="two_crops", augmentations={"channel": 1.0, "noise": 0.5})
    examples = draw_examples(store, recipe, seed=0)["train"]

    def drawn(batch_size: int, seed: int) -> dict[int, list[Tensor]]:
        rows: dict[int, list[Tensor]] = {}
        small = replace(recipe, batch_size=batch_size)
        plain = batches(store, examples, replace(small, augmentations={}), seed)
        for batch, clean in zip(batches(store, examples, small, seed), plain, strict=True):
            for k in range(len(batch)):
                clip = int(clean.views[0][k, 0, 0])
                rows.setdefault(clip, []).append(torch.stack([batch.views[v][k] - clean.views[v][k] for v in (0, 1)]))
        return rows

    one, other, later = drawn(4, 0), drawn(64, 0), drawn(4, 1)
    for clip, changes in one.items():
        for k, change in enumerate(changes):
            assert change.abs().max() > 0
            assert not torch.equal(change[0], change[1])
            assert any(torch.allclose(change, same, atol=1e-4) for same in other[clip]), k
            assert not any(torch.allclose(change, same, atol=1e-4) for same in later[clip])


@pytest.mark.parametrize("size", [2, 3, 100])
def test_batches_of_one_group_each(store: LatentStore, size: int) -> None:
    recipe = replace(PAIRS, views="two_crops_by_group", batch_size=size, examples_per_clip=1)
    examples = draw_examples(store, recipe, 0)["train"]
    found = list(batches(store, examples, recipe, 1))
    groups = [set(batch.labels["group"].flatten().tolist()) for batch in found]
    assert all(len(of_batch) == 1 for of_batch in groups)
    assert len(set.union(*groups)) > 1
    assert all(len(batch) <= size for batch in found)
    assert sum(map(len, found)) == len(examples)
    assert len(found) == number_of_batches(examples, size)


def test_examples_of_any_group_fill_whole_batches(store: LatentStore) -> None:
    examples = draw_examples(store, PAIRS, 0)["train"]
    found = list(batches(store, examples, replace(PAIRS, batch_size=3), 1))
    assert len(found) == number_of_batches(examples, 3) == -(-len(examples) // 3)


@pytest.mark.parametrize("std", [0.0, 0.001, 0.5])
def test_a_rendition_with_noise(std: float) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    noisy = maker(f"noise({std})")(audio, 16_000)
    added = noisy.astype(np.float64) - audio
    assert added.std() == pytest.approx(std, rel=0.03)
    assert np.array_equal(noisy, maker(f"noise({std})")(audio, 16_000))
