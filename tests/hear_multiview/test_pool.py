"""How frames become a scene, for every pool: against NumPy in float64 on the frames themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import hear_multiview
from hear_multiview.encoders.pooling import POOLS

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
    assert hear_multiview.load_model().pool == "statistics"
    assert hear_multiview.load_model(view="frontend").pool == "mean"
    assert hear_multiview.load_model(view="frontend", frontend="demo", pool="max").pool == "max"


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'median'.*statistics"):
        hear_multiview.load_model(pool="median")
