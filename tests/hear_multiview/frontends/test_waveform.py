"""The waveform in blocks: all of its samples, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import hear_multiview
from hear_multiview.frontends import load_frontend, waveform


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 16_000])
@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_blocks_are_the_samples(samples: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waveform, "CHUNK_FRAMES", chunk)
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    frames = torch.cat([frames for frames, _ in load_frontend("waveform").stream(audio)], dim=1)
    assert frames.shape == (2, -(-samples // 256), 256)
    assert torch.equal(frames.flatten(1)[:, :samples], audio)
    assert not frames.flatten(1)[:, samples:].any()


def test_it_is_a_hear_model_by_itself() -> None:
    model = hear_multiview.load_model(view="frontend", frontend="waveform")
    frames, times = hear_multiview.get_timestamp_embeddings(torch.ones(1, 16_000), model)
    assert frames.shape == (1, 63, 256)  # 62.5 blocks: the centre of the last one is the end of the audio
    assert times[0, :2].tolist() == [8.0, 24.0]
    assert times[0, -1] == 1000


def test_what_it_cannot_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"w\.pth"):
        load_frontend("waveform", Path("w.pth"))
    with pytest.raises(ValueError, match="fp32"):
        load_frontend("waveform", precision="bf16")
