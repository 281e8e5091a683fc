"""The listening page: distances mean what they say, and every sound is really in the page."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
import soundfile
import torch

from training.codec.bundle import seeded_codec
from training.codec.listen import distances, listening_page, load_codec


def test_distances_grow_with_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    sound, noise = 0.1 * torch.randn(2, 44_100, generator=generator)
    mel, sdr = zip(*(distances(sound, sound + level * noise, 44_100) for level in (0.0, 0.1, 1.0)), strict=True)
    assert mel[0] == pytest.approx(0, abs=1e-4)
    assert mel[0] < mel[1] < mel[2]
    assert sdr[0] > sdr[1] > sdr[2]
    assert sdr[1] == pytest.approx(20, abs=0.5)
    assert sdr[2] == pytest.approx(0, abs=0.5)


def test_page(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a&b.wav", 0.1 * torch.randn(44_100).numpy(), 44_100)
    weights = tmp_path / "codec.pth"
    seeded_codec(4, encoder_dim=4, decoder_dim=16).save(str(weights), package=False)
    found = listening_page([tmp_path / "a&b.wav"], load_codec(weights), tmp_path / "pages" / "listen.html")
    assert all(len(values) == 1 and values[0] > 0 for values in found.values())
    page = (tmp_path / "pages" / "listen.html").read_text()
    assert '<th scope="row">a&amp;b</th>' in page
    sounds = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)
    assert len(sounds) == 3
    for sound in sounds:
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)))
        assert (len(audio), rate) == (44_100, 44_100)
