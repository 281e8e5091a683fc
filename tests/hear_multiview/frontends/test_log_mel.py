"""The log-mel front end against a plain discrete Fourier sum in float64, however the audio is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import hear_multiview
from hear_multiview.audio import mel as spectrum
from hear_multiview.frontends import load_frontend, log_mel


def hertz(mel: np.ndarray) -> np.ndarray:
    """HTK's mel scale, backwards."""
    return 700 * (10 ** (mel / 2595) - 1)


#: (hop, n_fft, lowest and highest frequency in Hz) of each log-mel front end.
SIZES = {"log_mel": (512, 1024, 50.0, 8000.0), "log_mel_16k": (160, 400, 60.0, 7800.0)}
BANDS, RATE = 64, 16_000


def triangles(name: str) -> np.ndarray:
    """Weight of each frequency bin in each band [bin, band]: triangles between neighbours on the mel scale."""
    _, n_fft, *limits = SIZES[name]
    ends = 2595 * np.log10(1 + np.array(limits) / 700)
    corners = hertz(np.linspace(ends[0], ends[1], BANDS + 2))
    bins = np.arange(n_fft // 2 + 1) * RATE / n_fft
    rising = (bins[:, None] - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins[:, None]) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling))


def reference(name: str, audio: np.ndarray, frame: int) -> np.ndarray:
    """log(Σ_bin weight · |Σ_n w_n x_n e^{−2πi bin n / n_fft}|² + LOG_EPS) around sample (frame + ½) · hop, w a Hann
    window of sum 2."""
    hop, n_fft, *_ = SIZES[name]
    n = np.arange(n_fft)
    place = round((frame + 0.5) * hop) - n_fft // 2 + n
    x = np.where((place >= 0) & (place < len(audio)), audio[place.clip(0, len(audio) - 1)], 0.0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft)
    bins = np.arange(n_fft // 2 + 1)
    spectrum = np.exp(-2j * np.pi * np.outer(bins, n) / n_fft) @ (x * window / (n_fft / 4))
    return np.log(np.abs(spectrum) ** 2 @ triangles(name) + log_mel.LOG_EPS)


@pytest.mark.parametrize("name", SIZES)
def test_against_the_definition(name: str) -> None:
    audio = 0.1 * torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    front = load_frontend(name)
    assert front.hop == SIZES[name][0]
    frames = torch.cat([frames for frames, _ in front.stream(audio)], dim=1)
    count = -(-5000 // int(front.hop))
    assert frames.shape == (1, count, front.dim) == (1, count, BANDS)
    for frame in (0, 4, count - 1):
        np.testing.assert_allclose(frames[0, frame], reference(name, audio[0].double().numpy(), frame), atol=1e-3)


@pytest.mark.parametrize("name", SIZES)
def test_every_band_hears_something(name: str) -> None:
    """Also where bands are narrower than bins."""
    assert (triangles(name).max(axis=0) > 0.25).all()


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("samples", [1, 159, 160, 511, 512, 513, 16_000])
def test_chunks_give_the_frames_of_the_whole_clip(name: str, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    front = load_frontend(name)
    whole = torch.cat([frames for frames, _ in front.stream(audio)], dim=1)
    monkeypatch.setattr(spectrum, "CHUNK_FRAMES", 3)
    torch.testing.assert_close(
        torch.cat([frames for frames, _ in front.stream(audio)], dim=1), whole, atol=1e-5, rtol=1e-5
    )
    assert whole.shape[1] == -(-samples // SIZES[name][0])


@pytest.mark.parametrize("name", SIZES)
def test_a_full_scale_sine_has_a_power_of_about_one(name: str) -> None:
    sine = torch.sin(2 * torch.pi * 3000 * torch.arange(16_000) / 16_000)[None]
    ((frames, _),) = load_frontend(name).stream(sine)
    assert frames[0, 5].exp().sum().item() == pytest.approx(1.5, abs=0.5)


def test_it_is_a_hear_model_by_itself() -> None:
    model = hear_multiview.load_model(view="frontend", frontend="log_mel")
    frames, times = hear_multiview.get_timestamp_embeddings(torch.zeros(1, 16_000), model)
    assert frames.shape == (1, 31, 64)
    assert times[0, :2].tolist() == [16.0, 48.0]
    torch.testing.assert_close(frames, torch.full_like(frames, float(np.log(log_mel.LOG_EPS))))


@pytest.mark.parametrize("name", SIZES)
def test_what_it_cannot_use_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} .*w\.pth.*frontend_weights"):
        load_frontend(name, Path("w.pth"))
    with pytest.raises(ValueError, match=f"{name} .*fp32"):
        load_frontend(name, precision="bf16")
