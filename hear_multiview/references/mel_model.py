"""What the reference submissions share: a log-mel spectrogram without weights, and the HEAR API's checks and times."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hear_multiview.audio.mel import hann_window, log_mel_spectrogram, mel_filterbank

#: Added to the power before the logarithm: 100 dB below full scale. The window has a sum of 1, so that a
#: full-scale sine has a power of 1 / 4; that of the front end ``log_mel`` has a sum of 2.
LOG_EPS = 1e-10


class LogMelModel(nn.Module):
    """Log-mel frames of ``n_mels`` bands from 50 Hz to ``f_max``, one per ``hop_length`` samples; frame i is centred on
    sample (i + 0.5) · ``hop_length``."""

    # The names of the buffers are part of the digest of the front ends ``hear:hear_multiview.references…``.
    bands: Tensor
    window: Tensor

    def __init__(self, sample_rate: int, hop_length: int, n_fft: int, n_mels: int, f_max: float) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.register_buffer("bands", mel_filterbank(n_fft, 50.0, f_max, n_mels, sample_rate))
        self.register_buffer("window", hann_window(n_fft) / (n_fft / 2))
        self.eval()

    def forward(self, audio: Tensor) -> Tensor:
        """``audio`` [clip, sample] to natural-log mel power [clip, frame, band], of the frames centred within it."""
        frames = max(1, (2 * audio.shape[1] + self.hop_length) // (2 * self.hop_length))
        return torch.cat(
            list(log_mel_spectrogram(audio, frames, self.hop_length, self.window, self.bands, LOG_EPS)), dim=1
        )

    def frame_times(self, frames: Tensor) -> Tensor:
        """The centres of ``frames`` [clip, frame, …] in milliseconds, float32 [clip, frame]."""
        centres = (torch.arange(frames.shape[1], dtype=torch.float64) + 0.5) * (
            1000 * self.hop_length / self.sample_rate
        )
        return centres.float().to(frames.device).expand(len(frames), -1).contiguous()


def require_no_weights(name: str, path: str | None) -> None:
    """Raise ValueError where a ``path`` is given to the submission ``name``, which has no weights."""
    if path:
        raise ValueError(f"{name} has no weights to load from {path}; leave the path out")
