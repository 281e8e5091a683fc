"""Separators: what they are, and the mask network that is trained here.

Any object with the attributes and the method of `Separator` can stand in for the network, such as one from another
library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from hear_multiview import weight_file
from hear_multiview.encoders.convolutional import ChannelNorm
from hear_multiview.files import replacing
from sonyc_tasks.errors import first_line

SAMPLE_RATE = 16_000
#: Seconds of a clip that are separated at a time, besides what the network sees to either side.
CHUNK = 30.0
#: Power of the magnitudes that the network sees: quiet bins count, silent ones do not.
COMPRESSION = 0.3
#: Sources more than 20 dB under the mixture are not heard.
AUDIBLE = 0.1
#: Kernel, stride and padding in bins and frames of the convolutions over both.
_PATCH = ((8, 3), (4, 1), (2, 1))
#: Below this rms a clip is silent, and not made louder.
_SILENT = 1e-6


class Separator(Protocol):
    """What divides a mixture into sources."""

    @property
    def sample_rate(self) -> int:
        """In Hz, of what it takes and gives."""

    @property
    def sources(self) -> int:
        """How many it gives. Which of them are silent depends on the mixture."""

    def separate(self, audio: Tensor) -> Tensor:
        """From ``audio`` float32 [clip, sample] to float32 [clip, source, sample]."""


class MaskSeparator(nn.Module):
    """A mask for each source, in every bin of a short-time Fourier transform, by dilated convolutions over time.

    Two convolutions over time and frequency see detail, and reduce it; a stack of dilated convolutions over time sees
    seconds; and two transposed convolutions make masks of both. The masks of all sources sum to one in each bin, so
    that the sources sum to the mixture ("mixture consistency").
    """

    window: Tensor
    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        sources: int = 4,
        n_fft: int = 1024,
        channels: Sequence[int] = (16, 32),
        width: int = 128,
        stacks: int = 2,
        layers: int = 6,
    ) -> None:
        """Make the network, with weights drawn from torch's random state.

        Args:
            sources: M, how many it separates.
            n_fft: window in samples, a multiple of 32; half of it is the hop.
            channels: of the two convolutions over time and frequency; each keeps one band of four.
            width: channels of the convolutions over time.
            stacks, layers: each stack has so many layers, whose dilations are 1, 2, 4 and so on.
        """
        super().__init__()
        shape = {"n_fft": n_fft, "channels": list(channels), "width": width, "stacks": stacks, "layers": layers}
        self.arguments = {"sources": sources, **shape}
        self.sources, self.n_fft, self.hop = sources, n_fft, n_fft // 2
        first, second = channels
        self.register_buffer("window", torch.hann_window(n_fft).sqrt(), persistent=False)
        self.down = nn.ModuleList((_layer(nn.Conv2d, 1, first), _layer(nn.Conv2d, first, second)))
        flat = second * (n_fft // 32)
        dilated = [_Dilated(width, 2**k) for _ in range(stacks) for k in range(layers)]
        self.over_time = nn.Sequential(
            nn.Conv1d(flat, width, 1), *dilated, ChannelNorm(width), nn.Conv1d(width, flat, 1)
        )
        self.up = _layer(nn.ConvTranspose2d, 2 * second, first)
        self.masks = nn.ConvTranspose2d(2 * first, sources, *_PATCH)
        #: Frames that a mask depends on, to either side.
        self.context = 4 + stacks * (2**layers - 1)

    def forward(self, audio: Tensor) -> Tensor:
        """``audio`` [clip, sample] at an rms of about 1 to its sources [clip, source, sample]."""
        transform: dict[str, Any] = {"n_fft": self.n_fft, "hop_length": self.hop, "window": self.window}
        spectrum = torch.stft(audio, **transform, pad_mode="constant", return_complex=True)  # [clip, bin, frame]
        seen = (spectrum.abs() / self.n_fft**0.5) ** COMPRESSION
        fine = self.down[0](seen[:, None, :-1])  # the last bin, at half the sample rate, is not seen
        coarse = self.down[1](fine)  # [clip, channel, band, frame]
        far = self.over_time(coarse.flatten(1, 2)).unflatten(1, coarse.shape[1:3])
        masks = self.masks(torch.cat([self.up(torch.cat([far, coarse], 1)), fine], 1)).softmax(1)
        masks = torch.cat([masks, masks[:, :, -1:]], 2)
        masked = (masks * spectrum[:, None]).flatten(0, 1)
        return torch.istft(masked, **transform, length=audio.shape[1]).unflatten(0, (-1, self.sources))

    @torch.no_grad()
    def separate(self, audio: Tensor) -> Tensor:
        """``audio`` [clip, sample], of any length and level, to its sources [clip, source, sample].

        It is separated chunk by chunk, each with all that the network sees of its neighbours: memory is bounded but for
        the result, which is what the whole clip at once would give.
        """
        self.eval()
        level = audio.square().mean(1, keepdim=True).sqrt()
        scale = torch.where(level > _SILENT, level, torch.ones_like(level))
        samples, margin = audio.shape[1], (self.context + 2) * self.hop
        chunk = max(1, round(CHUNK * SAMPLE_RATE / self.hop)) * self.hop  # frames of all chunks are those of the clip
        separated = torch.empty(len(audio), self.sources, samples, device=audio.device)
        for start in range(0, samples, chunk):
            stop = min(start + chunk, samples)
            left, right = max(0, start - margin), min(samples, stop + margin)
            sources = self(audio[:, left:right] / scale)[..., start - left : stop - left]
            separated[..., start:stop] = sources * scale[:, None]
        return separated


class _Dilated(nn.Module):
    """x plus a dilated convolution of it."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ChannelNorm(width),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.GELU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


def _layer(convolution: type[nn.Conv2d | nn.ConvTranspose2d], inputs: int, outputs: int) -> nn.Sequential:
    """A convolution over eight bins and three frames that goes four bins at a time, normalised, then GELU."""
    return nn.Sequential(convolution(inputs, outputs, *_PATCH), ChannelNorm(outputs), nn.GELU())


def save_separator(path: Path, separator: MaskSeparator, card: dict[str, Any]) -> None:
    """Write ``path``, safetensors with a JSON card in its header that says how it was trained: whole or not at all."""
    whole = {**card, "separator": separator.arguments}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in separator.state_dict().items()}
    with replacing(path) as part:
        # Not save_file, which writes to a temporary file of its own, and leaves that when it is killed.
        part.write_bytes(to_bytes(tensors, {"separator": json.dumps(whole, sort_keys=True)}))


def load_separator(path: Path) -> tuple[MaskSeparator, dict[str, Any]]:
    """The separator in ``path``, and its card.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, or one of something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"separator {path} does not exist; train it with `python -m training separated`")
    weight_file.check(path)
    try:
        with safe_open(path, framework="pt") as file:
            card = dict(json.loads((file.metadata() or {})["separator"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        weight_file.require_fit(lambda: MaskSeparator(**card["separator"]), tensors)
        separator = MaskSeparator(**card["separator"])
        separator.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is not a separator ({first_line(error)}); give one that `python -m training separated` wrote"
        ) from error
    return separator.eval(), card
