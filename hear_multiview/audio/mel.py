"""Log-mel power of audio, frame by frame, as the log-mel front end and the reference submissions take it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

#: Frames computed at a time.
CHUNK_FRAMES = 1024


def mel_bands(window: int, lowest: float, highest: float, bands: int, sample_rate: int) -> Tensor:
    """Weight of each bin of a spectrum of ``window`` samples in each mel band, float32 [bin, band].

    Band k is a triangle of height 1 from corner k to corner k + 2; the corners divide ``lowest`` to ``highest`` (Hz)
    evenly on HTK's mel scale, 2595 · log10(1 + f / 700). The same as torchaudio's ``melscale_fbanks``; written out
    because torchaudio runs with few releases of torch, and embedding should run with all of them. Computed in double
    precision and rounded once, so that every processor gets the same numbers: a checkpoint may stand on their digest.

    >>> mel_bands(8, 0.0, 4000.0, 2, 8000).argmax(0)
    tensor([1, 2])
    """
    first, last = (2595.0 * math.log10(1.0 + f / 700.0) for f in (lowest, highest))
    corners = 700.0 * (10.0 ** (torch.linspace(first, last, bands + 2, dtype=torch.float64) / 2595.0) - 1.0)
    width = corners.diff()
    away = corners - torch.linspace(0, sample_rate // 2, window // 2 + 1, dtype=torch.float64)[:, None]  # [bin, corner]
    return torch.minimum(-away[:, :-2] / width[:-1], away[:, 2:] / width[1:]).clamp(min=0).float()


def hann_window(length: int) -> Tensor:
    """The periodic Hann window, float32 [``length``], computed in double precision like `mel_bands`."""
    return torch.hann_window(length, dtype=torch.float64).float()


def log_mel(audio: Tensor, frames: int, hop: int, window: Tensor, bands: Tensor, floor: float) -> Iterator[Tensor]:
    """The first ``frames`` frames of ``audio`` [clip, sample], `CHUNK_FRAMES` at a time: log(power in a band +
    ``floor``), natural, each [clip, frame, band].

    Frame i sees the samples around sample (i + 0.5) · ``hop``, as many as the ``window`` [sample] has, zeros beyond the
    ends of the audio. ``bands``: weights of the mel bands [bin, band].
    """
    side = (len(window) - hop) // 2
    padded = nn.functional.pad(audio, (side, side + max(0, frames * hop - audio.shape[1])))
    for start in range(0, frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, frames)
        pieces = padded[:, start * hop : (stop - 1) * hop + len(window)].unfold(1, len(window), hop)
        power = torch.fft.rfft(pieces * window).abs().square()
        yield (power @ bands + floor).log()
