"""A HEAR module that has learned nothing: log-mel frames through a fixed random projection.

The idea of HEAR's own naive baseline, at other numbers. A projection adds nothing to the 128 bands and loses nothing
that a probe could not find again: what a model scores above this module, it does not owe to its number of dimensions.

Size: 1024 (the original: 4096), that of the joint embedding on the official codec, so that probes of both have equally
many inputs. Matrix: seeded signs ±1 / √1024, which keep distances, nearly (Achlioptas 2003); the original's numbers are
all positive, so all of its dimensions follow the loudness. Rate and hop are 16 kHz and 25 ms, unlike those of our other
modules. The audio is taken as it is, level included.
``python -m heareval.embeddings.runner hear_multiview.references.random_projection``
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hear_multiview.audio.mel import hann_window, log_mel, mel_bands

SAMPLE_RATE, HOP, WINDOW, BANDS, SIZE, SEED = 16_000, 400, 1024, 128, 1024, 0
#: Added to the power before the logarithm: −100 dB of a full-scale sample.
FLOOR = 1e-10


class RandomProjection(nn.Module):
    """Log-mel frames of `BANDS` bands from 50 Hz to 8 kHz, one each `HOP` samples, and their projection; frame i is
    centred on sample (i + 0.5) · `HOP`."""

    bands: Tensor
    window: Tensor
    projection: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate = SAMPLE_RATE
        self.scene_embedding_size = self.timestamp_embedding_size = SIZE
        signs = 2 * torch.randint(2, (BANDS, SIZE), generator=torch.Generator().manual_seed(SEED)) - 1
        self.register_buffer("bands", mel_bands(WINDOW, 50.0, SAMPLE_RATE / 2, BANDS, SAMPLE_RATE))
        self.register_buffer("window", hann_window(WINDOW) / (WINDOW / 2))
        self.register_buffer("projection", signs / math.sqrt(SIZE))
        self.eval()

    def forward(self, audio: Tensor) -> Tensor:
        """``audio`` [clip, sample] to natural-log mel power [clip, frame, band], of frames centred within the audio."""
        frames = max(1, (2 * audio.shape[1] + HOP) // (2 * HOP))
        return torch.cat(list(log_mel(audio, frames, HOP, self.window, self.bands, FLOOR)), dim=1)


def load_model(path: str | None = "") -> RandomProjection:
    """The model; its matrix comes from its seed, so ``path`` must be empty."""
    if path:
        raise ValueError(f"random_projection has no weights to load from {path}: leave the path out")
    return RandomProjection()


def get_scene_embeddings(audio: Tensor, model: RandomProjection) -> Tensor:
    """``audio`` [clip, sample] to the mean over its frames, float32 [clip, 1024]."""
    with torch.no_grad():
        # The projection is linear, so the mean may come first; it is much the smaller of the two ways.
        return model(audio.float()).mean(1) @ model.projection


def get_timestamp_embeddings(audio: Tensor, model: RandomProjection) -> tuple[Tensor, Tensor]:
    """``audio`` [clip, sample] to frames [clip, frame, 1024] and their centres in ms, both float32; the latter [clip,
    frame]."""
    with torch.no_grad():
        frames = model(audio.float()) @ model.projection
    times = (torch.arange(frames.shape[1], dtype=torch.float64) + 0.5) * (1000 * HOP / SAMPLE_RATE)
    return frames, times.float().to(frames.device).expand(len(audio), -1).contiguous()
