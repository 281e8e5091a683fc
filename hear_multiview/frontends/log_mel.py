"""A log-mel spectrogram as the front end: no weights, so that anyone has it, and what it hears can be drawn.

The audio is taken at its own level. "Normalised", as papers say of such spectrograms, it becomes in the encoder, which
standardises every dimension of a front end with the statistics of the training frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor, nn

from hear_multiview.audio.mel import hann_window, log_mel, mel_bands
from hear_multiview.frontends.frame_times import frame_centres

SAMPLE_RATE, HOP, WINDOW, BANDS = 16_000, 512, 1024, 64
LOWEST, HIGHEST = 50.0, 8000.0  # Hz
#: Added to the power before the logarithm: −80 dB of a full-scale sine's.
FLOOR = 1e-8


class LogMel(nn.Module):
    """Natural logarithm of the power in `BANDS` mel bands, one frame each `HOP` samples: frame i sees the `WINDOW`
    samples around sample (i + 0.5) · `HOP`, zeros beyond the ends of the audio. A full-scale sine has a power of about
    1 (see `test_log_mel.py` for the formula)."""

    bands: Tensor
    window: Tensor
    name, sample_rate, hop, dim = "log_mel", SAMPLE_RATE, HOP, BANDS
    precision, padded = "fp32", True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bands", mel_bands(WINDOW, LOWEST, HIGHEST, BANDS, SAMPLE_RATE))
        self.register_buffer("window", hann_window(WINDOW) / (WINDOW / 4))
        # Of the constants, not of what they come to: the last bits of that may differ from machine to machine.
        constants = (SAMPLE_RATE, HOP, WINDOW, BANDS, LOWEST, HIGHEST, FLOOR)
        self.digest = hashlib.sha256(f"log_mel {constants}".encode()).hexdigest()
        self.eval()

    def stream(self, audio: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """``audio`` [clip, sample] to consecutive stretches of frames, each float32 [clip, frame, `BANDS`], and the
        centres of these frames in milliseconds, float32 [frame]."""
        start = 0
        for frames in log_mel(audio, -(-audio.shape[1] // HOP), HOP, self.window, self.bands, FLOOR):
            stop = start + frames.shape[1]
            yield frames, frame_centres(start, stop, self.hop, self.sample_rate)
            start = stop


def load_log_mel(weights: Path | None, precision: str) -> LogMel:
    """The loader, for `hear_multiview.frontends`.

    Raises:
        ValueError: a weight file, which it cannot use, or half precision, which would save nothing.
    """
    if weights is not None:
        raise ValueError(f"log_mel has no weights to load from {weights}: leave frontend_weights out")
    if precision != "fp32":
        raise ValueError(f"log_mel runs in fp32 only: leave precision={precision!r} out")
    return LogMel()
