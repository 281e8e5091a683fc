"""What HEAR asks of every reference submission, at its own sample rate."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor

from hear_multiview.references import mel_statistics, random_projection

REFERENCES = pytest.mark.parametrize(
    "module", [mel_statistics, random_projection], ids=lambda module: module.__name__.rsplit(".", 1)[1]
)


def noise(module: ModuleType, clips: int, seconds: float) -> Tensor:
    level = 0.02 * (1 + torch.arange(clips))[:, None]
    samples = round(seconds * module.SAMPLE_RATE)
    return level * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0))


@REFERENCES
@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.74])
def test_contract(module: ModuleType, seconds: float) -> None:
    model = module.load_model()
    audio = noise(module, 3, seconds)
    scene = module.get_scene_embeddings(audio, model)
    frames, times = module.get_timestamp_embeddings(audio, model)
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in (16_000, 22_050, 44_100, 48_000)  # hearvalidator's
    assert scene.shape == (3, model.scene_embedding_size)
    assert frames.shape == (*times.shape, model.timestamp_embedding_size)
    assert scene.dtype == frames.dtype == times.dtype == torch.float32
    assert torch.isfinite(scene).all()
    torch.testing.assert_close(scene[:, : model.timestamp_embedding_size], frames.mean(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scene[1:2], module.get_scene_embeddings(audio[1:2], model), atol=1e-4, rtol=1e-4)


@REFERENCES
def test_times_are_regular_and_within_the_audio(module: ModuleType) -> None:
    model = module.load_model()
    _, times = module.get_timestamp_embeddings(noise(module, 2, 2.0), model)
    step = 1000 * module.HOP_LENGTH / module.SAMPLE_RATE
    assert step <= 50  # HEAR's advice
    torch.testing.assert_close(times.diff(), torch.full_like(times.diff(), step), atol=1e-3, rtol=0)
    assert times[0, 0] == pytest.approx(step / 2)
    assert 2000 - step / 2 <= times[0, -1] + step / 2
    assert times[0, -1] <= 2000


@REFERENCES
def test_silence_and_nothing_are_embedded(module: ModuleType) -> None:
    model = module.load_model()
    for samples in (1, module.N_FFT):
        assert torch.isfinite(module.get_scene_embeddings(torch.zeros(1, samples), model)).all()


@REFERENCES
def test_it_has_no_weights(module: ModuleType) -> None:
    name = module.__name__.rsplit(".", 1)[1]
    with pytest.raises(ValueError, match=rf"{name} .*w\.pt"):
        module.load_model("w.pt")
    assert module.load_model(None).sample_rate == module.SAMPLE_RATE
