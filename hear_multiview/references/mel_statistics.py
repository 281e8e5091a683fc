"""A HEAR module without learning: mean and standard deviation over time of a log-mel spectrogram.

An honest yardstick, and a strong one: a mean spectrum is a fingerprint of place and microphone. The audio is taken as
it is, level included. ``python -m heareval.embeddings.runner hear_multiview.references.mel_statistics``
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hear_multiview.audio.mel import hann_window, log_mel, mel_bands

SAMPLE_RATE, HOP, WINDOW, BANDS = 44_100, 512, 2048, 128
#: Added to the power before the logarithm: −100 dB of a full-scale sample.
FLOOR = 1e-10


class MelStatistics(nn.Module):
    """Log-mel frames of `BANDS` bands from 50 Hz to 16 kHz, one each `HOP` samples; frame i is centred on sample
    (i + 0.5) · `HOP`."""

    bands: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sample_rate = SAMPLE_RATE
        self.scene_embedding_size = 2 * BANDS
        self.timestamp_embedding_size = BANDS
        self.register_buffer("bands", mel_bands(WINDOW, 50.0, 16_000.0, BANDS, SAMPLE_RATE))
        self.register_buffer("window", hann_window(WINDOW) / (WINDOW / 2))
        self.eval()

    def forward(self, audio: Tensor) -> Tensor:
        """``audio`` [clip, sample] to natural-log mel power [clip, frame, band], of frames centred within the audio."""
        frames = max(1, (2 * audio.shape[1] + HOP) // (2 * HOP))
        return torch.cat(list(log_mel(audio, frames, HOP, self.window, self.bands, FLOOR)), dim=1)


def load_model(path: str | None = "") -> MelStatistics:
    """The model; it has no weights, so ``path`` must be empty."""
    if path:
        raise ValueError(f"mel_statistics has no weights to load from {path}: leave the path out")
    return MelStatistics()


def get_scene_embeddings(audio: Tensor, model: MelStatistics) -> Tensor:
    """``audio`` [clip, sample] to mean ⊕ standard deviation over frames, float32 [clip, 256]."""
    with torch.no_grad():
        frames = model(audio.float())
        return torch.cat([frames.mean(1), frames.std(1, correction=0)], dim=1)


def get_timestamp_embeddings(audio: Tensor, model: MelStatistics) -> tuple[Tensor, Tensor]:
    """``audio`` [clip, sample] to log-mel frames [clip, frame, 128] and their centres in ms, float32 [clip, frame]."""
    with torch.no_grad():
        frames = model(audio.float())
    times = (torch.arange(frames.shape[1], dtype=torch.float64) + 0.5) * (1000 * HOP / SAMPLE_RATE)
    return frames, times.float().to(frames.device).expand(len(audio), -1).contiguous()
