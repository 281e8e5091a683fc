"""Log-mel power of audio, frame by frame, as the log-mel front end and the reference submissions take it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

#: Frames computed at a time.
STRETCH = 1024


def log_mel(audio: Tensor, frames: int, hop: int, window: Tensor, bands: Tensor, floor: float) -> Iterator[Tensor]:
    """The first ``frames`` frames of ``audio`` [clip, sample], `STRETCH` at a time: log(power in a band + ``floor``),
    natural, each [clip, frame, band].

    Frame i sees the samples around sample (i + 0.5) · ``hop``, as many as the ``window`` [sample] has, zeros beyond the
    ends of the audio. ``bands``: weights of the mel bands [bin, band].
    """
    side = (len(window) - hop) // 2
    padded = nn.functional.pad(audio, (side, side + max(0, frames * hop - audio.shape[1])))
    for start in range(0, frames, STRETCH):
        stop = min(start + STRETCH, frames)
        pieces = padded[:, start * hop : (stop - 1) * hop + len(window)].unfold(1, len(window), hop)
        power = torch.fft.rfft(pieces * window).abs().square()
        yield (power @ bands + floor).log()
