"""The codec front end against descript-audio-codec itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from dac.model import DAC
from torch import Tensor

from hear_multiview import loudness
from hear_multiview.frontends import FrontEnd, codec, load_frontend
from training.bundle import seeded_codec

Noise = Callable[..., Tensor]


def stock_latents(model: DAC, audio: Tensor) -> Tensor:
    """As descript-audio-codec computes them: the whole clip at once, [clip, frame, dim]."""
    audio = audio * loudness.gains(audio, model.sample_rate)
    with torch.no_grad():
        return model.encoder(model.preprocess(audio[:, None], model.sample_rate)).transpose(1, 2)


def streamed(front: FrontEnd, audio: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat(list(front.stream(audio)), dim=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[DAC, FrontEnd]:
    model = seeded_codec(3, encoder_dim=8)
    path = tmp_path_factory.mktemp("codec") / "weights.pth"
    model.save(str(path), package=False)
    return model, load_frontend("demo", path)


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 4_410, 88_064, 88_065, 200_000, 441_000])
def test_pieces_give_the_frames_of_the_whole_clip(small: tuple[DAC, FrontEnd], noise: Noise, samples: int) -> None:
    model, front = small
    audio = noise(2, 10.0)[:, :samples]
    whole, pieces = stock_latents(model, audio), streamed(front, audio)
    assert pieces.shape == whole.shape == (2, -(-samples // 512), front.dim)
    assert (pieces - whole).abs().max() <= 1e-4 * whole.std()


@pytest.mark.parametrize("stage", ["first", "last"])
def test_context_is_just_enough(
    small: tuple[DAC, FrontEnd], noise: Noise, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """With the computed contexts pieces are exact; with less of either they are not: the bound above can fail."""
    model, front = small
    audio = noise(1, 3.0)
    whole = stock_latents(model, audio)
    monkeypatch.setattr(codec, "PIECE", 20)
    monkeypatch.setattr(codec, "SHORT", 64 * 40)
    assert (streamed(front, audio) - whole).abs().max() <= 1e-4 * whole.std()
    monkeypatch.setattr(getattr(front, stage), "context", 2)
    assert (streamed(front, audio) - whole).abs().max() > 1e-4 * whole.std()


def test_a_clip_of_several_long_pieces(small: tuple[DAC, FrontEnd], noise: Noise) -> None:
    model, front = small
    audio = noise(1, 1.2 * codec.PIECE * 512 / 44_100)
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


@pytest.mark.parametrize(("name", "bound"), [("dac_44khz", 0.02), ("demo", 0.1)])
def test_bf16_error_is_bounded(official_codec_file: Path, noise: Noise, name: str, bound: float) -> None:
    """The bound depends on the weights: seeded ones of the official size stay under 2 %, the trained small ones, whose
    activations bend more sharply, under 10 %, both on white noise."""
    weights = official_codec_file if name == "dac_44khz" else None
    exact, rough = (streamed(load_frontend(name, weights, p), noise(1, 1.0)) for p in ("fp32", "bf16"))
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).norm() / exact.norm() <= bound


def test_the_front_end_is_frozen(small: tuple[DAC, FrontEnd]) -> None:
    _, front = small
    assert not front.training
    assert not any(parameter.requires_grad for parameter in front.parameters())


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="unknown precision 'fp16': choose one of fp32, bf16"):
        load_frontend("demo", precision="fp16")
    with pytest.raises(ValueError, match="unknown front end 'x': choose one of dac_44khz, demo"):
        load_frontend("x")
