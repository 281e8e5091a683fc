"""descript-audio-codec's encoder as a front end: continuous latents before quantisation, one frame each 512 samples.

The codec is convolutional, with a finite receptive field. A long clip is therefore encoded in pieces with enough
context on either side: the frames are those of the whole clip, while memory stays that of one piece. A piece of what
the last layers make is made of pieces of what the layers before them make, and so on. The first layers have large
activations and see little around them: short pieces keep these in the cache. The last ones have small activations,
large weights, and see 7 frames around: there a piece is longer than most clips.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from hear_multiview import threads
from hear_multiview.audio import loudness
from hear_multiview.frontends.dac import encoder as codec_encoder
from hear_multiview.frontends.dac import weights as codec_weights
from hear_multiview.frontends.dac.encoder import Stage
from hear_multiview.frontends.dac.weights import CodecWeights
from hear_multiview.frontends.frame_times import frame_centres
from hear_multiview.precision import require_same_precision

#: Frames at a time, without context: 11.9 s at 44.1 kHz.
PIECE = 1024
#: By stage, the most samples at a time on a thread of the CPU, without context.
LONGEST = [17 << 10, 48 << 10, PIECE << 9]
#: The same on another device, of all clips together: 0.5 GB of activations in single precision.
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
        self.padded = True
        stages = codec_encoder.stages(weights.encoder, weights.arguments["encoder_rates"])
        self.stages = nn.ModuleList(stages)
        #: Samples a step of the audio itself, and of what each stage gives.
        self.hops = list(itertools.accumulate((stage.hop for stage in stages), operator.mul, initial=1))
        self.stages.to({"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
        self.requires_grad_(False).eval()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CodecFrontEnd:
        require_same_precision(self, fn)
        return super()._apply(fn, recurse)

    def stream(self, audio: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Latents of consecutive stretches of ``audio`` [clip, sample], each float32 [clip, up to `PIECE`, dim], and
        the centres of their frames in milliseconds, float32 [frame]."""
        audio = audio.detach()  # no gradient comes through a frozen encoder, and its kernels know of none
        gain = loudness.gains(audio, self.sample_rate)
        frames = math.ceil(audio.shape[1] / self.hop)
        for start in range(0, frames, PIECE):
            stop = min(start + PIECE, frames)
            latents = self._encode(len(self.stages), audio, gain, start, stop)
            times = frame_centres(start, stop, self.hop, self.sample_rate)
            yield latents[:, :, 0].transpose(1, 2).float().contiguous(), times

    def _encode(self, stages: int, audio: Tensor, gain: Tensor, start: int, stop: int) -> Tensor:
        """Steps ``start`` to ``stop`` of what the first ``stages`` make of ``audio`` [clip, sample]: [clip, channel, 1,
        step]. A CPU's threads take pieces of single clips, other devices pieces of all clips."""
        if stages == 0:
            piece = audio[:, start:stop] * gain
            piece = nn.functional.pad(piece, (0, stop - start - piece.shape[1]))
            return piece[:, None, None].to(torch.bfloat16 if self.precision == "bf16" else torch.float32)
        stage, hop = cast(Stage, self.stages[stages - 1]), self.hops[stages]
        end = math.ceil(audio.shape[1] / self.hop) * self.hop // hop

        def encode(clips: slice, left: int, right: int) -> Tensor:
            first, last = _with_context(left, right, stage.context, end)
            x = self._encode(stages - 1, audio[clips], gain[clips], first * stage.hop, last * stage.hop)
            return stage(x)[..., left - first : right - first]

        on_cpu = audio.device.type == "cpu"
        clips = [slice(clip, clip + 1) for clip in range(len(audio))] if on_cpu else [slice(None)]
        longest = LONGEST[stages - 1] if on_cpu else max(LARGE // len(audio), LONGEST[0])
        edges = _even(start, stop, longest // hop, len(clips), torch.get_num_threads() if on_cpu else 1)
        pieces = [(clip, left, right) for clip in clips for left, right in edges]
        encoded = iter(threads.each(encode, pieces) if on_cpu else itertools.starmap(encode, pieces))
        return torch.cat([torch.cat([next(encoded) for _ in edges], dim=-1) for _ in clips])


def _even(start: int, stop: int, longest: int, clips: int, workers: int) -> list[tuple[int, int]]:
    """The range from ``start`` to ``stop`` in pieces of about the same length, none above ``longest``; as many as give
    each of the ``workers`` about the same number of those of all ``clips``, unless they get shorter than a quarter."""
    count = math.ceil((stop - start) / longest)
    even = math.ceil(math.ceil(count * clips / workers) * workers / clips)
    if (stop - start) / even >= longest / 4:
        count = even
    edges = [start + (stop - start) * k // count for k in range(count + 1)]
    return list(itertools.pairwise(edges))


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
