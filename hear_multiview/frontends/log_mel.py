"""A log-mel spectrogram as the front end: it has no weights, so anyone can use it, and what it hears can be drawn.

The audio is taken at its own level. Papers often normalise such spectrograms; here the encoder does, since it
standardises every dimension of a front end with the statistics of the training frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor, nn

from hear_multiview.audio.mel import hann_window, log_mel_spectrogram, mel_filterbank
from hear_multiview.frontends.frame_times import frame_centres

SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS = 16_000, 512, 1024, 64
F_MIN, F_MAX = 50.0, 8000.0  # Hz
#: Added to the power before the logarithm: 80 dB below a full-scale sine.
LOG_EPS = 1e-8


class LogMel(nn.Module):
    """Natural logarithm of the power in `N_MELS` mel bands, one frame per `HOP_LENGTH` samples.

    Frame i sees the `N_FFT` samples around sample (i + 0.5) · `HOP_LENGTH`, zeros beyond the ends of the audio. The
    window is scaled so that a full-scale sine has a power of about 1 (``test_log_mel.py`` has the formula).
    """

    filterbank: Tensor
    window: Tensor
    name, sample_rate, hop, dim = "log_mel", SAMPLE_RATE, HOP_LENGTH, N_MELS
    precision, padded = "fp32", True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filterbank", mel_filterbank(N_FFT, F_MIN, F_MAX, N_MELS, SAMPLE_RATE))
        self.register_buffer("window", hann_window(N_FFT) / (N_FFT / 4))
        # Of the constants, not of the tensors made of them, whose last bits may differ from machine to machine.
        constants = (SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS, F_MIN, F_MAX, LOG_EPS)
        self.digest = hashlib.sha256(f"log_mel {constants}".encode()).hexdigest()
        self.eval()

    def stream(self, audio: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks of the frames of ``audio`` [clip, sample], each float32 [clip, frame, `N_MELS`], with the
        centres of these frames in milliseconds, float32 [frame]."""
        start, frames = 0, -(-audio.shape[1] // HOP_LENGTH)
        for x in log_mel_spectrogram(audio, frames, HOP_LENGTH, self.window, self.filterbank, LOG_EPS):
            stop = start + x.shape[1]
            yield x, frame_centres(start, stop, self.hop, self.sample_rate)
            start = stop


def load_log_mel(weights: Path | None, precision: str) -> LogMel:
    """The loader, for `hear_multiview.frontends`.

    Raises:
        ValueError: a weight file, which it cannot use, or half precision, which would save nothing.
    """
    if weights is not None:
        raise ValueError(f"log_mel has no weights to load from {weights}; leave frontend_weights out")
    if precision != "fp32":
        raise ValueError(f"log_mel runs in fp32 only; leave precision={precision!r} out")
    return LogMel()
