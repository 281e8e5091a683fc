"""A HEAR module without learning: mean and standard deviation over time of a log-mel spectrogram.

An honest yardstick, and a strong one: a mean spectrum is a fingerprint of place and microphone. The audio is taken
unmodified, level included. ``python -m heareval.embeddings.runner hear_multiview.references.mel_statistics``
"""

from __future__ import annotations

import torch
from torch import Tensor

from hear_multiview.references.mel_model import LogMelModel, require_no_weights

SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS = 44_100, 512, 2048, 128


class MelStatistics(LogMelModel):
    """Log-mel frames of `N_MELS` bands from 50 Hz to 16 kHz."""

    scene_embedding_size, timestamp_embedding_size = 2 * N_MELS, N_MELS

    def __init__(self) -> None:
        super().__init__(SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS, f_max=16_000.0)


def load_model(path: str | None = "") -> MelStatistics:
    """The model; it has no weights, so ``path`` must be empty."""
    require_no_weights("mel_statistics", path)
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
    return frames, model.frame_times(frames)
