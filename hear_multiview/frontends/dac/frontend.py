"""descript-audio-codec's encoder as a front end: continuous latents before quantisation, one frame per 512 samples.

The codec is convolutional, with a finite receptive field. So a long clip is encoded in chunks with enough context on
either side: the frames are those of the whole clip, and memory is that of one chunk.

Each of the encoder's stages has its own length of chunk. A chunk of the last stage's output is made of several chunks
of the output of the stage before it, and so on back to the audio (`CodecFrontEnd._encode` calls itself for that). The
first stage has large activations and sees little around it: short chunks keep them in the processor's cache. The last
one has small activations, large weights, and sees 7 frames around it: there a chunk is longer than most clips.
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
from hear_multiview.audio.streamed import Audio
from hear_multiview.frontends.dac import encoder as codec_encoder
from hear_multiview.frontends.dac import weights as codec_weights
from hear_multiview.frontends.dac.encoder import Stage
from hear_multiview.frontends.dac.weights import CodecWeights
from hear_multiview.frontends.frame_times import frame_centres
from hear_multiview.precision import require_same_precision

#: Frames at a time, without context: 11.9 s at 44.1 kHz.
CHUNK_FRAMES = 1024
#: By stage, the most samples at a time on one thread of a CPU, without context.
MAX_CHUNK_SAMPLES_CPU = [17 << 10, 48 << 10, CHUNK_FRAMES << 9]
#: The same on a GPU, over all clips together: 0.5 GB of activations in single precision.
MAX_CHUNK_SAMPLES_GPU = 1 << 21


class CodecFrontEnd(nn.Module):
    """A frozen codec encoder. See `hear_multiview.frontends` for what a front end is."""

    def __init__(self, name: str, weights: CodecWeights, precision: str = "fp32") -> None:
        """``precision``: of the encoder's arithmetic, fp32 or bf16; frames are float32 in either case."""
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
        #: Samples per step, of the audio itself and of each stage's output.
        self.hops = list(itertools.accumulate((stage.hop for stage in stages), operator.mul, initial=1))
        self.stages.to({"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
        self.requires_grad_(False).eval()
        if torch.get_num_threads() > 1:
            threads.workers(torch.get_num_threads())  # now, before several threads may call

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CodecFrontEnd:
        require_same_precision(self, fn)
        return super()._apply(fn, recurse)

    def stream(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks of the latents of ``audio`` [clip, sample], each float32 [clip, up to `CHUNK_FRAMES`, dim], with
        the centres of the frames in milliseconds, float32 [frame]."""
        gain = loudness.gains(audio, self.sample_rate)
        frames = math.ceil(audio.shape[1] / self.hop)
        for start in range(0, frames, CHUNK_FRAMES):
            stop = min(start + CHUNK_FRAMES, frames)
            latents = self._encode(len(self.stages), audio, gain, start, stop)
            times = frame_centres(start, stop, self.hop, self.sample_rate)
            yield latents[:, :, 0].transpose(1, 2).float().contiguous(), times

    def _encode(self, stages: int, audio: Audio, gain: Tensor, start: int, stop: int) -> Tensor:
        """Steps ``start`` to ``stop`` of the output of the first ``stages`` stages, [clip, channel, 1, step].

        A CPU's threads take chunks of single clips, other devices chunks of all clips. The output of no stage at all is
        ``audio`` [clip, sample] itself, times ``gain`` [clip, 1].
        """
        if stages == 0:
            chunk = audio[:, start:stop].detach() * gain  # the kernels of a frozen encoder have no gradient
            chunk = nn.functional.pad(chunk, (0, stop - start - chunk.shape[1]))
            return chunk[:, None, None].to(torch.bfloat16 if self.precision == "bf16" else torch.float32)
        stage, hop = cast(Stage, self.stages[stages - 1]), self.hops[stages]
        end = math.ceil(audio.shape[1] / self.hop) * self.hop // hop

        def encode(clips: slice, left: int, right: int) -> Tensor:
            first, last = _with_context(left, right, stage.context, end)
            x = self._encode(stages - 1, audio[clips], gain[clips], first * stage.hop, last * stage.hop)
            return stage(x)[..., left - first : right - first]

        on_cpu = audio.device.type == "cpu"
        clips = [slice(clip, clip + 1) for clip in range(len(audio))] if on_cpu else [slice(None)]
        longest = (
            MAX_CHUNK_SAMPLES_CPU[stages - 1]
            if on_cpu
            else max(MAX_CHUNK_SAMPLES_GPU // len(audio), MAX_CHUNK_SAMPLES_CPU[0])
        )
        edges = _even_chunks(start, stop, longest // hop, len(clips), torch.get_num_threads() if on_cpu else 1)
        chunks = [(clip, left, right) for clip in clips for left, right in edges]
        encoded = iter(threads.map_on_threads(encode, chunks) if on_cpu else itertools.starmap(encode, chunks))
        return torch.cat([torch.cat([next(encoded) for _ in edges], dim=-1) for _ in clips])


def _even_chunks(start: int, stop: int, longest: int, clips: int, workers: int) -> list[tuple[int, int]]:
    """The range from ``start`` to ``stop`` in chunks of about the same length, none above ``longest``.

    There are enough of them for each of the ``workers`` to get about the same number, counting all ``clips``, unless
    that makes chunks shorter than a quarter of ``longest``.
    """
    count = math.ceil((stop - start) / longest)
    even = math.ceil(math.ceil(count * clips / workers) * workers / clips)
    if (stop - start) / even >= longest / 4:
        count = even
    edges = [start + (stop - start) * k // count for k in range(count + 1)]
    return list(itertools.pairwise(edges))


def _with_context(start: int, stop: int, context: int, end: int) -> tuple[int, int]:
    """The range from ``start`` to ``stop`` with ``context`` on both sides, within the clip; at the clip's own edges the
    codec pads, exactly as for the whole clip."""
    return max(start - context, 0), min(stop + context, end)


def dac_44khz(weights: Path | None, precision: str) -> CodecFrontEnd:
    """The 44.1 kHz, 8 kbps descript-audio-codec of the paper: 1024 dimensions.

    Weights come from ``weights``, else from the codec's own cache, else from a download into that cache (about 307 MB).
    """
    path = weights or codec_weights.cached_or_downloaded()
    return CodecFrontEnd("dac_44khz", codec_weights.read_dac(path, official=True), precision)


def demo(weights: Path | None, precision: str) -> CodecFrontEnd:
    """The bundled small codec, with which everything runs offline; or any 44.1 kHz codec file with the same hop."""
    read = codec_weights.read_dac(weights, official=False) if weights else codec_weights.read_bundle()
    return CodecFrontEnd("demo", read, precision)
