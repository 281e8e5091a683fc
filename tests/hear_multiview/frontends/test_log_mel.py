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


def triangles() -> np.ndarray:
    """Weight of each frequency bin in each band [bin, band]: triangles between neighbours on the mel scale."""
    ends = 2595 * np.log10(1 + np.array([log_mel.F_MIN, log_mel.F_MAX]) / 700)
    corners = hertz(np.linspace(ends[0], ends[1], log_mel.N_MELS + 2))
    bins = np.arange(log_mel.N_FFT // 2 + 1) * log_mel.SAMPLE_RATE / log_mel.N_FFT
    rising = (bins[:, None] - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins[:, None]) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling))


def reference(audio: np.ndarray, frame: int) -> np.ndarray:
    """log(Σ_bin weight · |Σ_n w_n x_n e^{−2πi bin n / N_FFT}|² + LOG_EPS) around sample (frame + ½) · HOP_LENGTH, w a
    Hann window of sum 2."""
    n = np.arange(log_mel.N_FFT)
    place = round((frame + 0.5) * log_mel.HOP_LENGTH) - log_mel.N_FFT // 2 + n
    x = np.where((place >= 0) & (place < len(audio)), audio[place.clip(0, len(audio) - 1)], 0.0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / log_mel.N_FFT)
    bins = np.arange(log_mel.N_FFT // 2 + 1)
    spectrum = np.exp(-2j * np.pi * np.outer(bins, n) / log_mel.N_FFT) @ (x * window / (log_mel.N_FFT / 4))
    return np.log(np.abs(spectrum) ** 2 @ triangles() + log_mel.LOG_EPS)


def test_against_the_definition() -> None:
    audio = 0.1 * torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    front = load_frontend("log_mel")
    frames = torch.cat([frames for frames, _ in front.stream(audio)], dim=1)
    assert frames.shape == (1, 10, front.dim)
    for frame in (0, 4, 9):
        np.testing.assert_allclose(frames[0, frame], reference(audio[0].double().numpy(), frame), atol=1e-3)


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 16_000])
def test_chunks_give_the_frames_of_the_whole_clip(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    front = load_frontend("log_mel")
    whole = torch.cat([frames for frames, _ in front.stream(audio)], dim=1)
    monkeypatch.setattr(spectrum, "CHUNK_FRAMES", 3)
    torch.testing.assert_close(
        torch.cat([frames for frames, _ in front.stream(audio)], dim=1), whole, atol=1e-5, rtol=1e-5
    )
    assert whole.shape[1] == -(-samples // log_mel.HOP_LENGTH)


def test_a_full_scale_sine_has_a_power_of_about_one() -> None:
    sine = torch.sin(2 * torch.pi * 3000 * torch.arange(16_000) / 16_000)[None]
    ((frames, _),) = load_frontend("log_mel").stream(sine)
    assert frames[0, 5].exp().sum().item() == pytest.approx(1.5, abs=0.5)


def test_it_is_a_hear_model_by_itself() -> None:
    model = hear_multiview.load_model(view="frontend", frontend="log_mel")
    frames, times = hear_multiview.get_timestamp_embeddings(torch.zeros(1, 16_000), model)
    assert frames.shape == (1, 31, 64)
    assert times[0, :2].tolist() == [16.0, 48.0]
    torch.testing.assert_close(frames, torch.full_like(frames, float(np.log(log_mel.LOG_EPS))))


def test_what_it_cannot_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"w\.pth.*frontend_weights"):
        load_frontend("log_mel", Path("w.pth"))
    with pytest.raises(ValueError, match="fp32"):
        load_frontend("log_mel", precision="bf16")
