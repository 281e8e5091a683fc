"""The log-mel spectrum against its formula, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchaudio.functional import melscale_fbanks

from hear_multiview.audio import mel as spectrum


@pytest.mark.parametrize("samples", [5, 40, 1000])
def test_log_power_of_each_frame(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "CHUNK_FRAMES", 7)  # so that frames come in several chunks
    rng = np.random.default_rng(samples)
    hop, size, frames, floor = 16, 64, -(-samples // 16), 1e-3
    audio, window, bands = rng.normal(size=(2, samples)), rng.random(size), rng.random((size // 2 + 1, 5))
    expected = np.empty((2, frames, 5))
    for clip in range(2):
        for frame in range(frames):
            around = frame * hop + hop // 2 - size // 2 + np.arange(size)
            seen = np.where((around >= 0) & (around < samples), audio[clip][around.clip(0, samples - 1)], 0)
            expected[clip, frame] = np.log(np.abs(np.fft.rfft(seen * window)) ** 2 @ bands + floor)
    given = [torch.from_numpy(x).float() for x in (audio, window, bands)]
    found = torch.cat(list(spectrum.log_mel_spectrogram(given[0], frames, hop, given[1], given[2], floor)), dim=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("given", [(1024, 50.0, 8000.0, 64, 16_000), (2048, 50.0, 16_000.0, 128, 44_100)])
def test_mel_bands_are_torchaudios(given: tuple[int, float, float, int, int]) -> None:
    window, *others = given
    torch.testing.assert_close(
        spectrum.mel_filterbank(*given), melscale_fbanks(window // 2 + 1, *others), atol=1e-4, rtol=0
    )
