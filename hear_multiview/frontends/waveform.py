"""The waveform itself as the front end, in blocks of samples: for encoders that learn from the samples on.

The audio is taken at its own level. A block is a frame whose dimensions are its samples, in order, so the first layer
of a convolutional encoder over frames is a learned filterbank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from hear_multiview.audio.streamed import Audio
from hear_multiview.frontends.frame_times import frame_centres

SAMPLE_RATE, BLOCK = 16_000, 256
#: Frames at a time.
CHUNK_FRAMES = 1024


class Waveform(nn.Module):
    """Blocks of `BLOCK` samples, one after the other; frame i is centred on sample (i + 0.5) · `BLOCK`. The last one is
    filled up with zeros."""

    name, sample_rate, hop, dim = "waveform", SAMPLE_RATE, BLOCK, BLOCK
    precision, padded = "fp32", True
    digest = hashlib.sha256(f"waveform {(SAMPLE_RATE, BLOCK)}".encode()).hexdigest()

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_device_anchor", torch.empty(0), persistent=False)
        self.eval()

    def stream(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks of the frames of ``audio`` [clip, sample], each float32 [clip, frame, `BLOCK`], with the centres
        of these frames in milliseconds, float32 [frame]."""
        frames = -(-audio.shape[1] // BLOCK)
        for start in range(0, frames, CHUNK_FRAMES):
            stop = min(start + CHUNK_FRAMES, frames)
            samples = audio[:, start * BLOCK : stop * BLOCK]
            whole = nn.functional.pad(samples, (0, (stop - start) * BLOCK - samples.shape[1]))
            yield whole.reshape(len(audio), stop - start, BLOCK), frame_centres(start, stop, BLOCK, SAMPLE_RATE)


def load_waveform(weights: Path | None, precision: str) -> Waveform:
    """The loader, for `hear_multiview.frontends`.

    Raises:
        ValueError: a weight file, which it cannot use, or half precision, as nothing is computed.
    """
    if weights is not None:
        raise ValueError(f"waveform has no weights to load from {weights}; leave frontend_weights out")
    if precision != "fp32":
        raise ValueError(f"waveform runs in fp32 only; leave precision={precision!r} out")
    return Waveform()
