"""Log-mel spectrograms, frame by frame, for the log-mel front end and the reference submissions."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hear_multiview.audio.streamed import Audio

#: Frames computed at a time.
CHUNK_FRAMES = 1024


def mel_filterbank(n_fft: int, f_min: float, f_max: float, n_mels: int, sample_rate: int) -> Tensor:
    """Weight of each bin of a spectrum of ``n_fft`` samples in each mel band, float32 [bin, band].

    Band k is a triangle of height 1 from corner k to corner k + 2; the corners divide ``f_min`` to ``f_max`` (Hz)
    evenly on HTK's mel scale, 2595 · log10(1 + f / 700). This is torchaudio's ``melscale_fbanks``, written out because
    torchaudio works with few releases of torch, and embedding should work with all of them. It is computed in double
    precision and rounded once, so that every processor gets the same numbers: a checkpoint may depend on their digest.

    >>> mel_filterbank(8, 0.0, 4000.0, 2, 8000).argmax(0)
    tensor([1, 2])
    """
    first, last = (2595.0 * math.log10(1.0 + f / 700.0) for f in (f_min, f_max))
    corners = 700.0 * (10.0 ** (torch.linspace(first, last, n_mels + 2, dtype=torch.float64) / 2595.0) - 1.0)
    width = corners.diff()
    away = corners - torch.linspace(0, sample_rate // 2, n_fft // 2 + 1, dtype=torch.float64)[:, None]  # [bin, corner]
    return torch.minimum(-away[:, :-2] / width[:-1], away[:, 2:] / width[1:]).clamp(min=0).float()


def hann_window(n_fft: int) -> Tensor:
    """The periodic Hann window, float32 [``n_fft``], computed in double precision like `mel_filterbank`."""
    return torch.hann_window(n_fft, dtype=torch.float64).float()


def log_mel_spectrogram(
    audio: Audio, frames: int, hop_length: int, window: Tensor, filterbank: Tensor, eps: float
) -> Iterator[Tensor]:
    """Yield the first ``frames`` frames of ``audio``, `CHUNK_FRAMES` at a time: ln(power in a band + ``eps``).

    Frame i sees the ``n_fft`` samples around sample (i + 0.5) · ``hop_length``, zeros beyond the ends of the audio.

    Args:
        audio: [clip, sample].
        window: [n_fft].
        filterbank: weights of the mel bands [bin, band], from `mel_filterbank`.

    Yields:
        Log-mel frames [clip, frame, band].
    """
    n_fft = len(window)
    side = (n_fft - hop_length) // 2
    for start in range(0, frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, frames)
        first, last = start * hop_length - side, (stop - 1) * hop_length - side + n_fft
        within = audio[:, max(first, 0) : max(last, 0)]
        before = max(-first, 0)
        padded = nn.functional.pad(within, (before, last - first - before - within.shape[1]))
        samples = padded.unfold(1, n_fft, hop_length)
        power = torch.fft.rfft(samples * window).abs().square()
        yield (power @ filterbank + eps).log()
