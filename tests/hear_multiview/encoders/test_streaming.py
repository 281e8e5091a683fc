"""Chunks of frames are embedded as the whole clip, whatever their lengths, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from hear_multiview.embedder import Embedder
from hear_multiview.encoders import make_encoder
from hear_multiview.encoders.base import Encoder, embed
from hear_multiview.encoders.streaming import embed_chunks
from hear_multiview.frontends import load_frontend, waveform
from hear_multiview.frontends.log_mel import LogMel

SETTINGS: list[dict[str, Any]] = [
    {"kind": "mlp", "dim": 8, "width": 16, "depth": 1},
    {"kind": "conv2d", "dim": 8, "channels": [4, 4, 4], "strides": [2, 2, 1], "latent": 5},
    {"kind": "conv2d", "dim": 8, "channels": [4, 4, 4], "strides": [1, 3, 1], "latent": 5, "pool": "mean"},
    {"kind": "conv1d", "dim": 8, "channels": [8, 8], "strides": [1, 1], "latent": 5},
    {"kind": "conv1d", "dim": 8, "channels": [8], "strides": [5], "latent": 5},
]


def seeded(**given: Any) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_encoder(**given)


ENCODERS = [seeded(**given) for given in SETTINGS]


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def in_chunks(x: Tensor, times: Tensor, lengths: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """The clips x cut into chunks of the ``lengths``, again and again."""
    start = 0
    while start < x.shape[1]:
        for length in lengths:
            if start < x.shape[1]:
                yield x[:, start : start + length], times[start : start + length]
            start += length


def output_frames(frames: int, stride: int) -> int:
    """A last output frame needs half of its input frames, for its centre to lie within them."""
    return max((frames + stride // 2) // stride, 1)


def output_times(times: torch.Tensor, stride: int) -> list[float]:
    """Regular, from the centre of the first ``stride`` input frames on."""
    if len(times) < stride:
        return [times.mean().item()]
    count = output_frames(len(times), stride)
    step = (times[-1] - times[0]).item() / max(len(times) - 1, 1)
    return [times[0].item() + step * ((stride - 1) / 2 + stride * k) for k in range(count)]


@settings(max_examples=200, deadline=None)
@given(
    encoder=st.sampled_from(ENCODERS),
    frames=st.integers(1, 120),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    view=st.sampled_from(["joint", "part"]),
)
@example(encoder=ENCODERS[1], frames=1, lengths=[1], view="joint")
def test_any_chunks_give_the_whole_clip(encoder: Encoder, frames: int, lengths: list[int], view: str) -> None:
    x = torch.randn(2, frames, 8, generator=torch.Generator().manual_seed(frames))
    times = torch.arange(frames) * 10.0 + 5
    view = view if view == "joint" else next(iter(encoder.parts))
    with torch.no_grad():
        expected = embed(encoder, x, view)[:, : output_frames(frames, encoder.stride)]
        chunks = list(embed_chunks(encoder, in_chunks(x, times, lengths), view))
    assert_same(torch.cat([z for z, _ in chunks], dim=1), expected)
    found = torch.cat([part for _, part in chunks])
    assert found.tolist() == pytest.approx(output_times(times, encoder.stride))
    assert found[-1] <= max(times[-1] + 5, found[0])  # within the clip
    assert all(len(part) for _, part in chunks)


def test_an_encoder_without_context_gets_every_chunk_as_it_comes() -> None:
    seen = []
    encoder = ENCODERS[0]
    encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[attr-defined]
    x = torch.randn(1, 100, 8)
    list(embed_chunks(encoder, in_chunks(x, torch.arange(100.0), [7, 30]), "joint"))
    assert [len(chunk[0]) for chunk in seen] == [7, 30, 7, 30, 7, 19]
    assert torch.equal(torch.cat(seen, dim=1), x)


@pytest.mark.parametrize("encoder", ENCODERS[1:])
def test_memory_is_that_of_a_chunk_and_the_context(encoder: Encoder) -> None:
    seen = []
    hook = encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))  # type: ignore[attr-defined]
    x = torch.randn(1, 2000, 8)
    list(embed_chunks(encoder, in_chunks(x, torch.arange(2000.0), [64]), "joint"))
    hook.remove()
    assert max(seen) <= 64 + 2 * encoder.context + 2 * encoder.stride
    assert sum(seen) >= 2000


def test_no_chunk_is_no_embedding() -> None:
    assert list(embed_chunks(ENCODERS[1], iter(()), "joint")) == []


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(300, 40_000), chunk=st.integers(1, 60), pool=st.sampled_from(["mean", "max"]))
def test_a_model_embeds_audio_as_its_whole(samples: int, chunk: int, pool: str) -> None:
    """From audio to scene and frames, with a front end that streams in chunks of any length."""
    audio = 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(samples))
    small = {"channels": [4, 8], "strides": [2, 2], "latent": 6, "pool": pool}
    for name, encoder in (
        ("waveform", seeded(kind="conv1d", dim=256, **small)),
        ("log_mel", seeded(kind="conv2d", dim=64, **small)),
    ):
        model = Embedder(load_frontend(name), encoder, "joint")
        ((frames, times),) = model.frontend.stream(audio)
        within = int((2 * samples + model.frontend.hop) // (2 * model.frontend.hop))
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            expected = embed(encoder, frames[:, :within], "joint")[:, : output_frames(within, 4)]
            patch.setattr(waveform, "CHUNK_FRAMES", chunk)
            patch.setattr("hear_multiview.audio.mel.CHUNK_FRAMES", chunk)
            found, found_times = model.frames(audio)
            scene = model.scene(audio)
        assert_same(found, expected)
        assert_same(scene, expected.amax(1) if pool == "max" else expected.mean(1))
        assert found_times.tolist() == pytest.approx(output_times(times[:within], 4))
        assert (model.stride, model.scene_embedding_size) == (4, 6)


def test_views_are_those_of_the_encoder() -> None:
    front = LogMel()
    encoder = seeded(kind="conv2d", dim=64)
    sizes = {view: Embedder(front, encoder, view).scene_embedding_size for view in ("joint", "embedding", "frontend")}
    assert sizes == {"joint": 256, "embedding": 256, "frontend": 64}
    assert Embedder(front, encoder, "frontend").pools == {"frontend": "mean"}
    with pytest.raises(ValueError, match=r"'private'.*joint, embedding, frontend"):
        Embedder(front, encoder, "private")
    with pytest.raises(ValueError, match="'embedding'"):
        Embedder(front, None, "embedding")
