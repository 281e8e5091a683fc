"""The codec front end against descript-audio-codec itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from dac.model import DAC
from torch import Tensor

from hear_multiview.audio import loudness
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.base import FrontEnd
from hear_multiview.frontends.dac import frontend as codec
from hear_multiview.frontends.dac.frontend import CodecFrontEnd
from training.codec.bundle import seeded_codec

Noise = Callable[..., Tensor]


def stock_latents(model: DAC, audio: Tensor) -> Tensor:
    """As descript-audio-codec computes them: the whole clip at once, [clip, frame, dim]."""
    audio = audio * loudness.gains(audio, model.sample_rate)
    with torch.no_grad():
        return model.encoder(model.preprocess(audio[:, None], model.sample_rate)).transpose(1, 2)


def streamed(front: FrontEnd, audio: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([frames for frames, _ in front.stream(audio)], dim=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[DAC, CodecFrontEnd]:
    model = seeded_codec(3, encoder_dim=8)
    path = tmp_path_factory.mktemp("codec") / "weights.pth"
    model.save(str(path), package=False)
    front = load_frontend("demo", path)
    assert isinstance(front, CodecFrontEnd)
    return model, front


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 4_410, 88_064, 88_065, 200_000, 441_000])
def test_pieces_give_the_frames_of_the_whole_clip(small: tuple[DAC, CodecFrontEnd], noise: Noise, samples: int) -> None:
    model, front = small
    audio = noise(2, 10.0)[:, :samples]
    whole, pieces = stock_latents(model, audio), streamed(front, audio)
    assert pieces.shape == whole.shape == (2, -(-samples // 512), front.dim)
    assert (pieces - whole).abs().max() <= 1e-4 * whole.std()


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_context_is_just_enough(
    small: tuple[DAC, CodecFrontEnd], noise: Noise, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    """With the computed contexts pieces are exact; with less of either they are not: the bound above can fail."""
    model, front = small
    audio = noise(1, 3.0)
    whole = stock_latents(model, audio)
    monkeypatch.setattr(codec, "CHUNK_FRAMES", 20)
    monkeypatch.setattr(codec, "MAX_CHUNK_SAMPLES_CPU", [64 * 20, 64 * 40, 512 * 10])
    assert (streamed(front, audio) - whole).abs().max() <= 1e-4 * whole.std()
    monkeypatch.setattr(front.stages[stage], "context", 2)
    assert (streamed(front, audio) - whole).abs().max() > 1e-4 * whole.std()


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("clips", [1, 3])
def test_any_number_of_threads_gives_the_same_frames(
    small: tuple[DAC, CodecFrontEnd], noise: Noise, monkeypatch: pytest.MonkeyPatch, threads: int, clips: int
) -> None:
    model, front = small
    audio = noise(clips, 2.0)
    monkeypatch.setattr(codec, "MAX_CHUNK_SAMPLES_CPU", [64 * 50, 64 * 150, 512 * 100])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pieces = streamed(front, audio)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    whole = stock_latents(model, audio)
    assert (pieces - whole).abs().max() <= 1e-4 * whole.std()


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
@pytest.mark.parametrize("clips", [1, 2, 7])
@pytest.mark.parametrize("length", [1, 2, 39, 40, 41, 399, 1000])
def test_pieces_are_even(workers: int, clips: int, length: int) -> None:
    edges = codec._even_chunks(5, 5 + length, 40, clips, workers)
    assert [edges[0][0], *(right for _, right in edges)] == [*(left for left, _ in edges), 5 + length]
    lengths = [right - left for left, right in edges]
    assert 1 <= min(lengths) >= max(lengths) - 1
    assert max(lengths) <= 40
    assert len(edges) == -(-length // 40) or length / len(edges) >= 10


def test_each_worker_gets_as_many_pieces() -> None:
    assert [len(codec._even_chunks(0, length, 40, clips=1, workers=4)) for length in (39, 40, 41, 200)] == [1, 4, 4, 8]
    assert len(codec._even_chunks(0, 200, 40, clips=2, workers=4)) == 6


def test_another_device_takes_all_clips_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes only, on the device that computes nothing."""
    monkeypatch.setattr(loudness, "gains", lambda audio, _: audio.new_ones(len(audio), 1))
    front = load_frontend("demo")
    assert isinstance(front, CodecFrontEnd)
    front.to("meta")
    seen = []
    front.stages[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    audio = torch.empty(3, 15 * 44_100, device="meta")
    assert [piece.shape for piece, _ in front.stream(audio)] == [(3, 1024, front.dim), (3, 268, front.dim)]
    assert {shape[0] for shape in seen} == {3}
    assert max(shape[-1] for shape in seen) <= codec.MAX_CHUNK_SAMPLES_GPU // 3 + 2 * 16 * 8


def test_a_clip_of_several_long_pieces(small: tuple[DAC, CodecFrontEnd], noise: Noise) -> None:
    model, front = small
    audio = noise(1, 1.2 * codec.CHUNK_FRAMES * 512 / 44_100)
    assert len(list(front.stream(audio))) == 2
    whole = stock_latents(model, audio)
    assert (streamed(front, audio) - whole).abs().max() <= 1e-4 * whole.std()


def test_ten_seconds_are_862_frames_of_1024(official_codec_file: Path, noise: Noise) -> None:
    front = load_frontend("dac_44khz", official_codec_file)
    assert (front.sample_rate, front.hop, front.dim) == (44_100, 512, 1024)
    audio = noise(1, 10.0)
    assert -(-audio.shape[1] // front.hop) == 862
    short = audio[:, :60_000]
    model = DAC.load(str(official_codec_file)).eval()
    whole, pieces = stock_latents(model, short), streamed(front, short)
    assert (pieces - whole).abs().max() <= 1e-4 * whole.std()


@pytest.mark.parametrize(("name", "growth"), [("dac_44khz", 1), ("demo", 4)])
def test_bf16_error_is_bounded(official_codec_file: Path, noise: Noise, name: str, growth: int) -> None:
    """bf16 keeps 8 bits, and rounds some 90 times on the way: the weights and results of 30 convolutions, and 29
    activations. Independent errors add up as their squares. The trained small codec's activations bend more sharply
    than those of seeded weights, and make errors larger."""
    bound = growth * 2**-8 * 90**0.5
    weights = official_codec_file if name == "dac_44khz" else None
    exact, rough = (streamed(load_frontend(name, weights, p), noise(1, 1.0)) for p in ("fp32", "bf16"))
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).norm() / exact.norm() <= bound


def test_the_front_end_is_frozen(small: tuple[DAC, CodecFrontEnd]) -> None:
    _, front = small
    assert not front.training
    assert not any(parameter.requires_grad for parameter in front.parameters())


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"precision 'fp16'.* fp32, bf16"):
        load_frontend("demo", precision="fp16")
    with pytest.raises(ValueError, match=r"front end 'x'.* dac_44khz, demo"):
        load_frontend("x")
