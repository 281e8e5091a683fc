"""Pairs and batches: what trains, what validates, and that labels stay with their clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.dataset.taxonomy import COARSE
from training.data.batches import batches, draw_pairs
from training.data.store import LatentStore, StoredClip
from training.recipes import RECIPES

SENSORS, CLIPS = (2, 5, 7), 12


@pytest.fixture
def store(tmp_path: Path) -> LatentStore:
    """12 clips of 3 sensors; every frame of a clip holds the clip's own index."""
    clips = [
        StoredClip(f"{sensor:02d}_{k:06d}.wav", sensor, (COARSE[k % 8], COARSE[(k + 3) % 8])[: k % 3])
        for sensor in SENSORS
        for k in range(CLIPS)
    ]
    frontend = {"name": "demo", "sha256": "0" * 64, "dim": 2, "hop": 512, "sample_rate": 44_100}
    store = LatentStore.create(tmp_path / "s", clips, frontend, 4, SensorSplit((2, 7), (5,), ()), "")
    for index in range(len(clips)):
        store.write(index, np.full((4, 2), index))
    return store


def sensors_of(store: LatentStore, pairs: np.ndarray) -> set[int]:
    return {store.clips[i].sensor for i in pairs.ravel()}


def test_sensors_that_validate_do_not_train(store: LatentStore) -> None:
    pairs = draw_pairs(store, RECIPES["multiview_rec"], seed=0)
    assert sensors_of(store, pairs["train"]) == {2, 7}
    assert sensors_of(store, pairs["valid"]) == {5}
    assert len(pairs["train"]) == 3 * 2 * CLIPS


def test_clips_that_validate_are_of_the_training_sensors_and_do_not_train(store: LatentStore) -> None:
    pairs = draw_pairs(store, RECIPES["supervised_sensor"], seed=0)
    assert sensors_of(store, pairs["train"]) == sensors_of(store, pairs["valid"]) == {2, 7}
    assert not set(pairs["train"].ravel()) & set(pairs["valid"].ravel())
    assert len(set(pairs["valid"].ravel())) == 4  # two a sensor
    again = draw_pairs(store, RECIPES["supervised_sensor"], seed=1)
    assert set(again["valid"].ravel()) != set(pairs["valid"].ravel())


def test_too_few_clips_to_hold_any_out(store: LatentStore) -> None:
    store.split = SensorSplit((2,), (5,), ())
    store.clips = [replace(clip, sensor=100 + i // 3) if i < 9 else clip for i, clip in enumerate(store.clips)]
    store.split = SensorSplit((100, 101, 102), (5,), ())
    with pytest.raises(ValueError, match="the valid sensors 100, 101, 102 have no two clips of one sensor"):
        draw_pairs(store, RECIPES["supervised_sensor"], seed=0)


def test_every_pair_comes_once_with_its_own_labels(store: LatentStore) -> None:
    recipe = replace(RECIPES["supervised_sensor"], batch_size=5)
    pairs = draw_pairs(store, recipe, seed=0)["train"]
    seen = []
    for batch in batches(store, pairs, recipe, seed=3):
        for view, sources in zip(batch.views, batch.sources, strict=True):
            for x, labels, place in zip(view, sources, batch.sensor, strict=True):
                clip = store.clips[int(x[0, 0])]
                assert {COARSE[k] for k in torch.nonzero(labels)[:, 0].tolist()} == set(clip.sources)
                assert store.split.train[int(place)] == clip.sensor
        seen += [(int(a[0, 0]), int(b[0, 0])) for a, b in zip(*batch.views, strict=True)]
    assert sorted(seen) == sorted(map(tuple, pairs.tolist()))
    order = [int(batch.views[0][0, 0, 0]) for batch in batches(store, pairs, recipe, seed=4)]
    assert order != [int(batch.views[0][0, 0, 0]) for batch in batches(store, pairs, recipe, seed=3)]


def test_a_sensor_with_one_clip_is_named_and_left_out(store: LatentStore) -> None:
    store.clips = [replace(clip, sensor=9) if i == 0 else clip for i, clip in enumerate(store.clips)]
    store.split = SensorSplit((2, 7, 9), (5,), ())
    with pytest.warns(UserWarning, match="sensor 9 has one clip only"):
        pairs = draw_pairs(store, RECIPES["multiview_rec"], seed=0)
    assert 0 not in pairs["train"]
