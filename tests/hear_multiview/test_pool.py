"""How frames become a scene, for every pool: against NumPy in float64 on the frames themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

import hear_multiview
from hear_multiview.embedder import Embedder
from hear_multiview.encoders import make_encoder
from hear_multiview.encoders.pooling import POOLS, Pool, Pooling, pool_over_time
from hear_multiview.frontends import load_frontend

Noise = Callable[..., torch.Tensor]


def reference(pool: str, frames: np.ndarray, sizes: list[int]) -> np.ndarray:
    """``frames`` [clip, frame, size] to scenes, part by part."""
    if pool != "statistics":
        return frames.mean(1) if pool == "mean" else frames.max(1)
    parts = np.split(frames, np.cumsum(sizes)[:-1], axis=2)
    return np.concatenate([np.concatenate([part.mean(1), part.std(1)], axis=1) for part in parts], axis=1)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("view", ["joint", "private", "frontend"])
@pytest.mark.parametrize("seconds", [0.02, 1.0, 40.0])
def test_scenes_are_pooled_frames(pool: str, view: str, seconds: float, noise: Noise) -> None:
    model = hear_multiview.load_model(view=view, pool=pool)
    audio = noise(2, seconds, model.sample_rate)
    frames, _ = hear_multiview.get_timestamp_embeddings(audio, model)
    scenes = hear_multiview.get_scene_embeddings(audio, model)
    assert scenes.shape == (2, model.scene_embedding_size)
    assert frames.shape[2] == model.timestamp_embedding_size
    assert model.encoder is not None
    sizes = list(model.encoder.parts.values()) if view == "joint" else [frames.shape[2]]
    np.testing.assert_allclose(scenes, reference(pool, frames.double().numpy(), sizes), atol=2e-5, rtol=1e-5)


def test_the_default_is_the_encoders_own() -> None:
    bundled = hear_multiview.load_model()
    assert bundled.encoder is not None
    assert bundled.pools == bundled.encoder.pools
    assert hear_multiview.load_model(view="frontend").pools == {"frontend": "mean"}
    assert hear_multiview.load_model(view="frontend", frontend="demo", pool="max").pools == {"frontend": "max"}
    assert hear_multiview.load_model(pool="max").pools == dict.fromkeys(bundled.pools, "max")


@pytest.mark.parametrize("pools", itertools.product(POOLS, POOLS), ids="-".join)
def test_each_part_is_pooled_in_its_own_way(pools: tuple[Pool, Pool], noise: Noise) -> None:
    encoder = make_encoder("patches", dim=64, private=5, shared=3, width=8, pool=pools[0], shared_pool=pools[1])
    front = load_frontend("log_mel")
    audio = noise(2, 3.0, front.sample_rate)
    scenes = {}
    for view in ("joint", "private", "shared"):
        model = Embedder(front, encoder, view)
        scenes[view] = hear_multiview.get_scene_embeddings(audio, model).numpy()
        assert scenes[view].shape == (2, model.scene_embedding_size)
    for view, pool in zip(("private", "shared"), pools, strict=True):
        frames, _ = hear_multiview.get_timestamp_embeddings(audio, Embedder(front, encoder, view))
        expected = reference(pool, frames.double().numpy(), [frames.shape[2]])
        np.testing.assert_allclose(scenes[view], expected, atol=2e-5, rtol=1e-5)
    np.testing.assert_array_equal(scenes["joint"], np.concatenate([scenes["private"], scenes["shared"]], axis=1))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_all_at_once_and_in_chunks(pool: Pool, chunk: int) -> None:
    frames = torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0)) + 10
    pooling = Pooling(pool)
    for part in frames.split(chunk, dim=1):
        pooling.add(part)
    expected = reference(pool, frames.double().numpy(), [5])
    np.testing.assert_allclose(pooling.scene(), expected, rtol=1e-6)
    np.testing.assert_allclose(pool_over_time(frames, pool), expected, rtol=1e-4)


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'median'.*statistics"):
        hear_multiview.load_model(pool="median")
