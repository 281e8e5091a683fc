"""descript-audio-codec's encoder as a front end: continuous latents before quantisation, one frame each 512 samples.

The codec is convolutional, with a finite receptive field. A long clip is therefore encoded in pieces with enough
context on either side: the frames are those of the whole clip, while memory stays that of one piece. There are pieces
of two sizes. The first layers have large activations and see little around them: short pieces keep them in the cache.
The last ones have small activations, large weights, and see 7 frames around: there a piece is longer than most clips.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from hear_multiview import loudness, threads
from hear_multiview.frontends import codec_weights
from hear_multiview.frontends.centres import frame_centres
from hear_multiview.frontends.codec_encoder import Stage
from hear_multiview.frontends.codec_weights import CodecWeights

#: Frames at a time through the last layers, without context: 11.9 s at 44.1 kHz.
PIECE = 1024
#: Samples at a time through the first layers, without context, by a thread of the CPU: 0.56 s.
SHORT = 3 << 13
#: The same by another device, of all clips together: 0.5 GB of activations in single precision.
LARGE = 1 << 21


class CodecFrontEnd(nn.Module):
    """A frozen codec encoder. See `hear_multiview.frontends` for what a front end is."""

    def __init__(self, name: str, weights: CodecWeights, precision: str = "fp32") -> None:
        """``precision``: of the encoder's arithmetic, fp32 or bf16; what it returns is float32 in either case."""
        super().__init__()
        self.name = name
        self.sample_rate = weights.sample_rate
        self.hop = weights.hop
        self.dim = weights.dim
        self.digest = weights.digest
        self.precision = precision
        layers = weights.build_layers()
        # The last block, which changes the rate for the last time, its activation and the last convolution.
        self.first, self.last = Stage(layers[:-3]), Stage(layers[-3:])
        self.to({"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
        self.requires_grad_(False).eval()

    def frame_times(self, samples: int) -> Tensor:
        """The centres of the frames within ``samples`` samples, in milliseconds, float32 [frame]."""
        return frame_centres(samples, self.hop, self.sample_rate)

    def stream(self, audio: Tensor) -> Iterator[Tensor]:
        """Latents of consecutive stretches of ``audio`` [clip, sample]: each float32 [clip, up to `PIECE`, dim]."""
        gain = loudness.gains(audio, self.sample_rate)
        frames = math.ceil(audio.shape[1] / self.hop)
        steps = frames * self.last.hop  # of what the first layers make of the whole clip
        for start in range(0, frames, PIECE):
            stop = min(start + PIECE, frames)
            first, last = _with_context(start, stop, self.last.context, frames)
            x = self._first(audio, gain, first * self.last.hop, last * self.last.hop, steps)
            latents = self.last(x)[:, :, 0, start - first : stop - first]
            yield latents.transpose(1, 2).float().contiguous()

    def _first(self, audio: Tensor, gain: Tensor, start: int, stop: int, steps: int) -> Tensor:
        """What the first layers make of ``audio`` from step ``start`` to ``stop`` of all ``steps``: [clip, channel, 1,
        step]. A CPU's threads take short pieces of single clips, other devices long ones of all clips."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        hop = self.first.hop

        def encode(clips: slice, left: int, right: int) -> Tensor:
            first, last = _with_context(left, right, self.first.context, steps)
            piece = audio[clips, first * hop : last * hop] * gain[clips]
            piece = nn.functional.pad(piece, (0, (last - first) * hop - piece.shape[1]))
            return self.first(piece[:, None, None].to(dtype))[..., left - first : right - first]

        on_cpu = audio.device.type == "cpu"
        clips = [slice(clip, clip + 1) for clip in range(len(audio))] if on_cpu else [slice(None)]
        length = SHORT // hop if on_cpu else max(LARGE // len(audio), SHORT) // hop
        edges = [(left, min(left + length, stop)) for left in range(start, stop, length)]
        pieces = [(clip, left, right) for clip in clips for left, right in edges]
        encoded = iter(threads.each(encode, pieces) if on_cpu else itertools.starmap(encode, pieces))
        return torch.cat([torch.cat([next(encoded) for _ in edges], dim=-1) for _ in clips])


def _with_context(start: int, stop: int, context: int, end: int) -> tuple[int, int]:
    """The range from ``start`` to ``stop`` with ``context`` on both sides, but for the clip's own edges: there is none
    to take, there the codec pads, exactly as for the whole clip."""
    return max(start - context, 0), min(stop + context, end)


def dac_44khz(weights: Path | None, precision: str) -> CodecFrontEnd:
    """The 44.1 kHz, 8 kbps descript-audio-codec of the paper: 1024 dimensions.

    Weights come from ``weights``, else from the codec's own cache, else they are downloaded into it (about 307 MB).
    """
    path = weights or codec_weights.cached_or_downloaded()
    return CodecFrontEnd("dac_44khz", codec_weights.read_dac(path, official=True), precision)


def demo(weights: Path | None, precision: str) -> CodecFrontEnd:
    """The bundled small codec, so that everything runs offline; or any 44.1 kHz codec file with the same hop."""
    read = codec_weights.read_dac(weights, official=False) if weights else codec_weights.read_bundle()
    return CodecFrontEnd("demo", read, precision)
