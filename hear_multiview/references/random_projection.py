"""A HEAR module that has learned nothing: log-mel frames through a fixed random projection.

The idea of HEAR's own naive baseline, with other numbers. A projection adds nothing to the 128 bands and removes
nothing that a probe could not recover: where a model scores above this module, its number of dimensions is not why.

Size: 1024 (the original: 4096), that of the joint embedding on the official codec, so that probes of both have equally
many inputs. Matrix: seeded signs ±1 / √1024, which nearly keep distances (Achlioptas 2003); the original's numbers are
all positive, so all of its dimensions follow the loudness. Rate and hop are 16 kHz and 25 ms, unlike those of our other
modules. The audio is taken unmodified, level included.
``python -m heareval.embeddings.runner hear_multiview.references.random_projection``
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hear_multiview.references.mel_model import LogMelModel, require_no_weights

SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS, SIZE, SEED = 16_000, 400, 1024, 128, 1024, 0


class RandomProjection(LogMelModel):
    """Log-mel frames of `N_MELS` bands from 50 Hz to 8 kHz, and the matrix that projects them."""

    projection: Tensor
    scene_embedding_size = timestamp_embedding_size = SIZE

    def __init__(self) -> None:
        super().__init__(SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS, f_max=SAMPLE_RATE / 2)
        signs = 2 * torch.randint(2, (N_MELS, SIZE), generator=torch.Generator().manual_seed(SEED)) - 1
        self.register_buffer("projection", signs / math.sqrt(SIZE))


def load_model(path: str | None = "") -> RandomProjection:
    """The model; its matrix comes from its seed, so ``path`` must be empty."""
    require_no_weights("random_projection", path)
    return RandomProjection()


def get_scene_embeddings(audio: Tensor, model: RandomProjection) -> Tensor:
    """``audio`` [clip, sample] to the mean over its frames, float32 [clip, 1024]."""
    with torch.no_grad():
        # The projection is linear, so the mean may come first, which is much less work.
        return model(audio.float()).mean(1) @ model.projection


def get_timestamp_embeddings(audio: Tensor, model: RandomProjection) -> tuple[Tensor, Tensor]:
    """``audio`` [clip, sample] to frames [clip, frame, 1024] and their centres in ms [clip, frame], both float32."""
    with torch.no_grad():
        frames = model(audio.float()) @ model.projection
    return frames, model.frame_times(frames)
