"""A log-mel spectrogram as the front end: it has no weights, so anyone can use it, and what it hears can be drawn.

The audio is taken at its own level. Papers often normalise such spectrograms; here the encoder does, since it
standardises every dimension of a front end with the statistics of the training frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor, nn

from hear_multiview.audio.mel import hann_window, log_mel_spectrogram, mel_filterbank
from hear_multiview.audio.streamed import Audio
from hear_multiview.frontends.frame_times import frame_centres
from hear_multiview.precision import require_same_precision

SAMPLE_RATE, HOP_LENGTH, N_FFT, N_MELS = 16_000, 512, 1024, 64
F_MIN, F_MAX = 50.0, 8000.0  # Hz
#: Added to the power before the logarithm: 80 dB below a full-scale sine.
LOG_EPS = 1e-8


class LogMel(nn.Module):
    """Natural logarithm of the power in mel bands, one frame per hop.

    Frame i sees the ``n_fft`` samples around sample (i + 0.5) · ``hop``, zeros beyond the ends of the audio. The
    window is scaled so that a full-scale sine has a power of about 1 (``test_log_mel.py`` has the formula).
    """

    filterbank: Tensor
    window: Tensor
    sample_rate, precision, padded = SAMPLE_RATE, "fp32", True

    def __init__(
        self,
        name: str = "log_mel",
        hop: int = HOP_LENGTH,
        n_fft: int = N_FFT,
        n_mels: int = N_MELS,
        f_min: float = F_MIN,
        f_max: float = F_MAX,
    ) -> None:
        """Make the front end ``name``: frames every ``hop`` samples, each of ``n_mels`` bands from ``f_min`` to
        ``f_max`` (Hz) of a spectrum of ``n_fft`` samples."""
        super().__init__()
        self.name, self.hop, self.dim = name, hop, n_mels
        self.register_buffer("filterbank", mel_filterbank(n_fft, f_min, f_max, n_mels, SAMPLE_RATE))
        self.register_buffer("window", hann_window(n_fft) / (n_fft / 4))
        # Of the constants, not of the tensors made of them, whose last bits may differ from machine to machine.
        constants = (SAMPLE_RATE, hop, n_fft, n_mels, f_min, f_max, LOG_EPS)
        self.digest = hashlib.sha256(f"{name} {constants}".encode()).hexdigest()
        self.eval()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LogMel:
        require_same_precision(self, fn)
        return super()._apply(fn, recurse)

    def stream(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks of the frames of ``audio`` [clip, sample], each float32 [clip, frame, ``dim``], with the
        centres of these frames in milliseconds, float32 [frame]."""
        start, frames = 0, -(-audio.shape[1] // self.hop)
        for x in log_mel_spectrogram(audio, frames, self.hop, self.window, self.filterbank, LOG_EPS):
            stop = start + x.shape[1]
            yield x, frame_centres(start, stop, self.hop, self.sample_rate)
            start = stop


def load_log_mel(weights: Path | None, precision: str) -> LogMel:
    """The loader of ``log_mel``, for `hear_multiview.frontends`.

    Raises:
        ValueError: a weight file, which it cannot use, or half precision, which would save nothing.
    """
    return _loaded(LogMel(), weights, precision)


def load_log_mel_16k(weights: Path | None, precision: str) -> LogMel:
    """The loader of ``log_mel_16k``: 25 ms of audio every 10 ms in 64 bands from 60 to 7800 Hz, as in the code of
    arXiv 2505.18984.

    Raises:
        ValueError: as `load_log_mel`.
    """
    return _loaded(LogMel("log_mel_16k", hop=160, n_fft=400, f_min=60.0, f_max=7800.0), weights, precision)


def _loaded(front: LogMel, weights: Path | None, precision: str) -> LogMel:
    """``front``, if it can be had with these."""
    if weights is not None:
        raise ValueError(f"{front.name} has no weights to load from {weights}; leave frontend_weights out")
    if precision != "fp32":
        raise ValueError(f"{front.name} runs in fp32 only; leave precision={precision!r} out")
    return front
