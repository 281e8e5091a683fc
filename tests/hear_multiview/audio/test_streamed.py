"""Audio that is read while it is embedded: the same bits as audio in memory, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hear_multiview
from hear_multiview.audio import loudness, streamed
from hear_multiview.audio.streamed import StreamedAudio
from hear_multiview.embedder import Embedder
from hear_multiview.frame_cache import FrameCache
from hear_multiview.frontends import load_frontend


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise [sample] that is quiet at first."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=samples) * np.linspace(0.001, 0.2, samples)).astype(np.float32)


def cut(samples: np.ndarray, size: int) -> StreamedAudio:
    def blocks() -> Iterator[np.ndarray]:
        return (samples[start : start + size] for start in range(0, len(samples), size))

    return StreamedAudio(blocks, len(samples))


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 200),
    size=st.integers(1, 50),
    kept=st.sampled_from([0, 10, 100]),
    slices=st.lists(st.tuples(st.integers(0, 220), st.integers(0, 220)), min_size=1, max_size=8),
)
def test_slices_are_those_of_a_tensor(samples: int, size: int, kept: int, slices: list[tuple[int, int]]) -> None:
    whole = torch.from_numpy(noise(samples))[None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "KEPT_SAMPLES", kept)
        audio = cut(whole[0].numpy(), size)
        assert audio.shape == whole.shape
        for start, stop in slices:
            assert torch.equal(audio[:, start:stop], whole[:, start:stop])
            assert torch.equal(audio[0:1][:, start:], whole[:, start:])


def test_little_is_held() -> None:
    audio, asked = cut(noise(1_000_000), 1000), 5000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "KEPT_SAMPLES", 10_000)
        for start in range(0, 1_000_000, asked):
            audio[:, start : start + asked]
            assert sum(len(block) for _, block in audio._held) <= 10_000 + asked + 2 * 1000


def test_other_indices_and_a_source_that_ends_early_are_errors() -> None:
    audio = cut(noise(10), 3)
    for index in ((slice(1, 2), slice(0, 3)), (slice(None), slice(0, 9, 2))):
        with pytest.raises(IndexError):
            audio[index]
    with pytest.raises(ValueError, match="10"):
        StreamedAudio(lambda: iter([np.zeros(10, np.float32)]), 20)[:, 5:15]


@pytest.mark.parametrize("samples", [100, 4410, 44_100, 2 * loudness.CHUNK_SAMPLES + 4567])
def test_gains_are_the_same_to_the_bit(samples: int) -> None:
    whole = torch.from_numpy(noise(samples))[None]
    for size in (997, 1 << 20):
        assert torch.equal(loudness.gains(cut(whole[0].numpy(), size), 44_100), loudness.gains(whole, 44_100))


@pytest.fixture(scope="module", params=["multiview", "demo", "log_mel", "log_mel_16k", "waveform"])
def model(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "multiview":
        return hear_multiview.load_model()
    return Embedder(load_frontend(request.param), None, "frontend")


@pytest.mark.parametrize("seconds", [0.05, 13.0])
def test_embeddings_are_the_same_to_the_bit(
    model: Embedder, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """13 s are two chunks of the codec; less is kept than the whole."""
    whole = torch.from_numpy(noise(round(seconds * model.sample_rate)))[None]
    monkeypatch.setattr(streamed, "KEPT_SAMPLES", 100_000)
    with torch.no_grad():
        scene, (frames, times) = model.scene(whole), model.frames(whole)
        for size in (4099, 1 << 20):
            audio = cut(whole[0].numpy(), size)
            assert torch.equal(model.scene(audio), scene)
            found = model.frames(audio)
            assert torch.equal(found[0], frames)
            assert torch.equal(found[1], times)
    cached = Embedder(model.frontend, model.encoder, model.view, FrameCache(tmp_path))
    with torch.no_grad():
        assert torch.equal(cached.scene(cut(whole[0].numpy(), 4099)), scene)
        assert torch.equal(cached.scene(whole), scene)
    assert len(list(tmp_path.iterdir())) == 1  # one entry for the same samples
