"""The mel reference against float64 numpy; the contract is tested with the other references'."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from hear_multiview.references import mel_statistics as mel
from hear_multiview.references.mel_model import LOG_EPS


def test_frames_against_numpy(noise: Callable[..., Tensor]) -> None:
    audio = noise(1, 0.3)
    frames, times = mel.get_timestamp_embeddings(audio, mel.load_model())
    x = np.pad(audio[0].double().numpy(), mel.N_FFT)
    window = (1 - np.cos(2 * np.pi * np.arange(mel.N_FFT) / mel.N_FFT)) / 2 / (mel.N_FFT / 2)
    bands = mel.load_model().bands.double().numpy()
    for i in (0, 7, frames.shape[1] - 1):
        centre = mel.N_FFT + i * mel.HOP_LENGTH + mel.HOP_LENGTH // 2
        spectrum = np.fft.rfft(x[centre - mel.N_FFT // 2 : centre + mel.N_FFT // 2] * window)
        expected = np.log(np.abs(spectrum) ** 2 @ bands + LOG_EPS)
        np.testing.assert_allclose(frames[0, i].numpy(), expected, atol=1e-3)
        assert times[0, i] == pytest.approx(1000 * (i + 0.5) * mel.HOP_LENGTH / mel.SAMPLE_RATE)
