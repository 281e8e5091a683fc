"""Traversals move one dimension only, and what they render has the spectrum that was decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hear_multiview import checkpoint
from hear_multiview.frontends.log_mel import HOP_LENGTH, LogMel
from training.systems.music import sounds
from training.systems.music.methods import MultiViewVAE
from training.systems.music.traversals import STEPS, load_vae, render, traverse


@pytest.fixture
def vae() -> MultiViewVAE:
    torch.manual_seed(0)
    vae = MultiViewVAE(dim=6, width=8, depth=1, latent=4)
    vae.encoder.mean, vae.encoder.scale = torch.randn(6), torch.rand(6) + 0.5
    return vae.eval()


def test_only_the_dimension_moves(vae: MultiViewVAE) -> None:
    frames = torch.randn(5, 6)
    z = torch.cat(vae.encoder(frames), dim=-1).mean(0)
    strip = traverse(vae, frames, 2)
    assert strip.shape == (len(STEPS), 6)
    for row, step in zip(strip, STEPS, strict=True):
        moved = z.clone()
        moved[2] = step
        torch.testing.assert_close(row, vae.decoder(moved) * vae.encoder.scale + vae.encoder.mean)


def test_a_rendered_sound_is_heard_at_its_pitch() -> None:
    front = LogMel()
    pitches = []
    for frequency in (8, 20):
        wave = torch.from_numpy(sounds.waveform(0, frequency)[:8000] / 10).float()[None]
        ((frames, _),) = front.stream(wave)
        sound = render(frames[0, 5:7], front)
        assert len(sound) / front.sample_rate == pytest.approx(0.8, abs=0.05)
        spectrum = torch.fft.rfft(sound * torch.hann_window(len(sound))).abs()
        pitches.append(spectrum.argmax().item() * front.sample_rate / len(sound))
    assert pitches == pytest.approx([sounds.FREQUENCIES[8], sounds.FREQUENCIES[20]], rel=0.08)
    assert front.hop == HOP_LENGTH


def test_a_checkpoint_without_a_decoder_of_that_kind(tmp_path: Path) -> None:
    saved = checkpoint.load(Path(checkpoint.__file__).parent / "bundled" / "multiview.safetensors")
    checkpoint.save(tmp_path / "c.safetensors", saved.tensors, saved.card)
    with pytest.raises(ValueError, match=str(tmp_path)):
        load_vae(tmp_path / "c.safetensors")
    assert np.isfinite(STEPS).all()
