"""What ``load_model`` returns: a front end and an encoder as one HEAR model, streaming over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from hear_multiview import frame_cache as cache
from hear_multiview.encoders.mlp import PrivateSharedEncoder, embed
from hear_multiview.frontends import FrontEnd
from hear_multiview.precision import require_same_precision


class Embedder(nn.Module):
    """A HEAR model, in eval mode.

    Attributes:
        sample_rate: in Hz, of the audio it takes.
        scene_embedding_size, timestamp_embedding_size: the number of dimensions of an embedding.
        frontend, encoder, view: its parts; ``encoder`` is None only for ``view == "frontend"`` without a checkpoint.
    """

    _here: Tensor

    def __init__(self, frontend: FrontEnd, encoder: PrivateSharedEncoder | None, view: str) -> None:
        super().__init__()
        if encoder is None and view != "frontend":
            raise ValueError(f"view {view!r} needs an encoder: give a checkpoint")
        self.frontend = frontend
        self.encoder = encoder
        self.view = view
        self.sample_rate = frontend.sample_rate
        latent = frontend.dim if view == "frontend" or encoder is None else encoder.latent
        size = latent if view in ("joint", "frontend") else latent // 2
        self.scene_embedding_size = size
        self.timestamp_embedding_size = size
        self.register_buffer("_here", torch.empty(0), persistent=False)  # a front end may have no weights at all
        self.eval()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Embedder:
        require_same_precision(self, fn)
        return super()._apply(fn, recurse)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self._here.device

    def frame_count(self, samples: int) -> int:
        """How many frames the embeddings of clips of ``samples`` samples have."""
        return len(self.frontend.frame_times(samples))

    def frame_times(self, samples: int) -> Tensor:
        """Where those frames lie, in milliseconds, float32 [frame] on the CPU: for a codec, their centres."""
        return self.frontend.frame_times(samples)

    def stream(self, audio: Tensor) -> Iterator[Tensor]:
        """Embeddings of consecutive stretches of ``audio`` [clip, sample], each [clip, frame, size]: memory is bounded
        by a stretch, however long the audio, with a codec; a HEAR module as the front end takes all of it at once."""
        left = None
        for x in cache.stream(self.frontend, audio):
            # Not asked before: a HEAR module that has seen the clip need not be run again to know.
            left = self.frame_count(audio.shape[1]) if left is None else left
            if left > 0:
                yield embed(self.encoder, x[:, :left], self.view)
            left -= x.shape[1]

    def scene(self, audio: Tensor) -> Tensor:
        """[clip, sample] to the mean frame embedding, float32 [clip, size]; summed in float64, so that 20 minutes
        lose nothing against 1 second."""
        total = audio.new_zeros(len(audio), self.scene_embedding_size, dtype=torch.float64)
        for z in self.stream(audio):
            total += z.sum(dim=1, dtype=torch.float64)
        return (total / self.frame_count(audio.shape[1])).float()

    def frames(self, audio: Tensor) -> Tensor:
        """[clip, sample] to every frame embedding, float32 [clip, frame, size]."""
        out, start = audio.new_empty(0), 0
        for z in self.stream(audio):
            if start == 0:  # not before the first stretch: see stream
                out = audio.new_empty(len(audio), self.frame_count(audio.shape[1]), self.timestamp_embedding_size)
            out[:, start : start + z.shape[1]] = z
            start += z.shape[1]
        return out
