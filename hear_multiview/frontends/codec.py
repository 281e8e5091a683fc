"""descript-audio-codec's encoder as a front end: continuous latents before quantisation, one frame each 512 samples.

The codec is convolutional, with a finite receptive field. A long clip is therefore encoded in hop-aligned pieces with
enough context on either side: the frames are those of the whole clip, while memory stays that of one piece. Pieces
are also faster: the activations of a whole 10 s clip (113 MB each) send every allocation to the operating system.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from hear_multiview import loudness
from hear_multiview.frontends import codec_weights
from hear_multiview.frontends.centres import frame_centres
from hear_multiview.frontends.codec_weights import CodecWeights

#: Frames encoded at a time, without context: 1 s at 44.1 kHz.
PIECE = 86


class CodecFrontEnd(nn.Module):
    """A frozen codec encoder. See `hear_multiview.frontends` for what a front end is.

    Attributes:
        name, sample_rate, hop, dim, digest, precision: as for every front end.
        context: frames of audio on either side that a piece needs to be exact.
    """

    def __init__(self, name: str, weights: CodecWeights, precision: str = "fp32") -> None:
        """``precision``: of the encoder's arithmetic, fp32 or bf16; what it returns is float32 in either case."""
        super().__init__()
        self.name = name
        self.sample_rate = weights.sample_rate
        self.hop = weights.hop
        self.dim = weights.dim
        self.digest = weights.digest
        self.precision = precision
        self.encoder = _for_inference(weights.build_encoder())
        self.context = _context(self.encoder, self.hop)
        self.encoder.to({"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
        self.requires_grad_(False).eval()

    def frame_times(self, samples: int) -> Tensor:
        """The centres of the frames within ``samples`` samples, in milliseconds, float32 [frame]."""
        return frame_centres(samples, self.hop, self.sample_rate)

    def stream(self, audio: Tensor) -> Iterator[Tensor]:
        """Latents of consecutive stretches of ``audio`` [clip, sample]: each float32 [clip, up to `PIECE`, dim]."""
        gain = loudness.gains(audio, self.sample_rate)
        samples = audio.shape[1]
        frames = math.ceil(samples / self.hop)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        for start in range(0, frames, PIECE):
            stop = min(start + PIECE, frames)
            # At the clip's own edges there is no context to take: there the codec pads, exactly as for the whole clip.
            first, last = max(start - self.context, 0), min(stop + self.context, frames)
            piece = audio[:, first * self.hop : last * self.hop] * gain
            piece = nn.functional.pad(piece, (0, (last - first) * self.hop - piece.shape[1]))
            latents = self.encoder(piece[:, None].to(dtype)).float()
            yield latents[..., start - first : stop - first].transpose(1, 2)


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


class FrozenSnake(nn.Module):
    """The codec's activation x + sin²(αx) / α with fixed α, in a third of the time of its trainable form: it reuses the
    buffer of αx, which at these sizes matters more than the sine."""

    alpha: Tensor
    inverse: Tensor

    def __init__(self, alpha: Tensor) -> None:
        """``alpha``: [1, channel, 1]."""
        super().__init__()
        self.register_buffer("alpha", alpha.detach())
        self.register_buffer("inverse", (alpha.detach() + 1e-9).reciprocal())

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, channel, step]."""
        return torch.addcmul(x, self.inverse, torch.mul(x, self.alpha).sin_().square_())


def _for_inference(module: nn.Module) -> nn.Module:
    """The codec's encoder with what is fixed now computed once: weight norm g · v / |v|, and Snake's 1 / α."""
    from dac.nn.layers import Snake1d

    for name, child in module.named_children():
        if isinstance(child, Snake1d):
            setattr(module, name, FrozenSnake(child.alpha))
        elif isinstance(child, nn.Conv1d):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the codec uses the older of torch's two weight norms
                nn.utils.remove_weight_norm(child)
        else:
            _for_inference(child)
    return module


def _context(encoder: nn.Module, hop: int) -> int:
    """Frames of context on either side after which the encoder's zero padding can no longer be felt.

    The encoder is a chain of convolutions (residual branches only add shorter paths), so reaches add up: each layer
    sees ``padding`` of its input steps to the left and ``dilation · (kernel − 1) − padding`` to the right.
    """
    left = right = 0
    step = 1  # samples a step of this layer's input
    for module in encoder.modules():
        if isinstance(module, nn.Conv1d):
            (kernel,), (stride,), (dilation,) = module.kernel_size, module.stride, module.dilation
            padding = int(module.padding[0])
            left += padding * step
            right += (dilation * (kernel - 1) - padding) * step
            step *= stride
    return max(math.ceil(left / hop), math.ceil((right + 1) / hop) - 1)
