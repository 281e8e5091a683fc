"""The random projection against float64 numpy; the contract is tested with the other references'."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hear_multiview.references import random_projection as rp
from hear_multiview.references.mel_model import LOG_EPS


def test_frames_against_numpy() -> None:
    audio = 0.1 * torch.randn(1, 5000, generator=torch.Generator().manual_seed(1))
    model = rp.load_model()
    frames, times = rp.get_timestamp_embeddings(audio, model)
    x = np.pad(audio[0].double().numpy(), rp.N_FFT)
    window = (1 - np.cos(2 * np.pi * np.arange(rp.N_FFT) / rp.N_FFT)) / 2 / (rp.N_FFT / 2)
    bands, projection = model.bands.double().numpy(), model.projection.double().numpy()
    assert frames.shape[1] == 13  # centres at 200, 600, …, 5000
    for i in (0, 7, 12):
        centre = rp.N_FFT + i * rp.HOP_LENGTH + rp.HOP_LENGTH // 2
        spectrum = np.fft.rfft(x[centre - rp.N_FFT // 2 : centre + rp.N_FFT // 2] * window)
        expected = np.log(np.abs(spectrum) ** 2 @ bands + LOG_EPS) @ projection
        np.testing.assert_allclose(frames[0, i].numpy(), expected, atol=1e-2)
        assert times[0, i] == pytest.approx(25 * (i + 0.5))


def test_the_projection_is_fixed_and_keeps_distances() -> None:
    matrix = rp.load_model().projection
    assert torch.equal(matrix, rp.load_model().projection)
    assert matrix.abs().unique().tolist() == pytest.approx([rp.SIZE**-0.5])
    assert abs(float(matrix.sign().mean())) < 0.01
    # another matrix would be another submission: these are the signs of seed 0
    assert "".join("-+"[int(sign > 0)] for sign in matrix[0, :24]) == "-++-+++++++--+-----+-++-"
    points = torch.randn(20, rp.N_MELS, generator=torch.Generator().manual_seed(0))
    ratio = torch.pdist(points @ matrix) / torch.pdist(points)
    assert float(ratio.min()) > 0.85
    assert float(ratio.max()) < 1.15


def test_loading_it_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    rp.load_model()
    assert torch.equal(torch.rand(2), expected)
