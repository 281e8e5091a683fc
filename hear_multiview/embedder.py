"""What ``load_model`` returns: a front end and an encoder as one HEAR model, streaming over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from hear_multiview.audio.streamed import Audio
from hear_multiview.encoders.base import POOLS, Encoder, views_of
from hear_multiview.encoders.streaming import embed_chunks
from hear_multiview.frame_cache import FrameCache
from hear_multiview.frontends.base import FrontEnd
from hear_multiview.frontends.frame_times import frames_within
from hear_multiview.precision import require_same_precision


class Embedder(nn.Module):
    """A HEAR model, in eval mode.

    Attributes:
        sample_rate: in Hz, of the audio it takes.
        scene_embedding_size, timestamp_embedding_size: the number of dimensions of an embedding.
        frontend, encoder, view: its parts; ``encoder`` is None only for ``view == "frontend"`` without a checkpoint.
        stride: front-end frames per frame embedding.
        pool: how frame embeddings become a scene embedding, one of `POOLS`.
        cache: where front-end frames are kept, or None.
    """

    _device_anchor: Tensor

    def __init__(
        self,
        frontend: FrontEnd,
        encoder: Encoder | None,
        view: str,
        cache: FrameCache | None = None,
        pool: str | None = None,
    ) -> None:
        """Join the parts. ``pool`` None is the encoder's own, the mean for the view ``frontend``."""
        super().__init__()
        if encoder is None and view != "frontend":
            raise ValueError(f"view {view!r} needs an encoder; give a checkpoint")
        self.frontend = frontend
        self.encoder = encoder
        self.view = view
        self.cache = cache
        self.sample_rate = frontend.sample_rate
        if encoder is None or view == "frontend":
            self.stride, own, self._sizes = 1, "mean", [frontend.dim]
        elif view in views_of(encoder):
            self.stride, own = encoder.stride, encoder.pool
            self._sizes = [size for name, size in encoder.parts.items() if view in ("joint", name)]
        else:
            raise ValueError(f"unknown view {view!r}; choose from {', '.join(views_of(encoder))}")
        self.pool = pool or own
        if self.pool not in POOLS:
            raise ValueError(f"unknown pool {self.pool!r}; choose from {', '.join(POOLS)}")
        self.timestamp_embedding_size = sum(self._sizes)
        self.scene_embedding_size = self.timestamp_embedding_size * (2 if self.pool == "statistics" else 1)
        self.register_buffer("_device_anchor", torch.empty(0), persistent=False)  # a front end may have no tensors
        self.eval()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Embedder:
        require_same_precision(self, fn)
        return super()._apply(fn, recurse)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self._device_anchor.device

    def stream(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the embeddings of ``audio`` [clip, sample] a chunk at a time, each float32 [clip, frame, size], with
        their times in milliseconds, float32 [frame] on the CPU.

        With a front end that streams, memory is bounded by a chunk, however long the audio; a HEAR module as the front
        end takes all of it at once. The embeddings are those of the whole clip, also with an encoder that has context.
        """
        frames = self._frames_within(audio)
        if self.encoder is None or self.view == "frontend":
            return frames
        return embed_chunks(self.encoder, frames, self.view)

    def scene(self, audio: Audio) -> Tensor:
        """[clip, sample] to the mean, maximum or statistics of its frame embeddings, float32 [clip, size].

        Statistics are the mean and standard deviation of the first part, then of the next, so that a part of the joint
        embedding is one range of it. Sums are in float64, so that 20 minutes lose nothing against 1 second.
        """
        if self.pool == "max":
            largest = [z.amax(dim=1) for z, _ in self.stream(audio)]
            return torch.stack(largest).amax(dim=0)
        statistics = self.pool == "statistics"
        total = torch.zeros(len(audio), self.timestamp_embedding_size, dtype=torch.float64, device=audio.device)
        squares = torch.zeros_like(total)
        count = 0
        for z, _ in self.stream(audio):
            total += z.sum(dim=1, dtype=torch.float64)
            if statistics:
                squares += z.double().square().sum(dim=1)
            count += z.shape[1]
        mean = total / count
        if not statistics:
            return mean.float()
        deviation = (squares / count - mean**2).clamp(min=0).sqrt()
        both = zip(mean.split(self._sizes, dim=1), deviation.split(self._sizes, dim=1), strict=True)
        return torch.cat([torch.cat(of_part, dim=1) for of_part in both], dim=1).float()

    def frames(self, audio: Audio) -> tuple[Tensor, Tensor]:
        """[clip, sample] to every frame embedding, float32 [clip, frame, size], and their times in milliseconds,
        float32 [frame] on the CPU."""
        embeddings, times = zip(*self.stream(audio), strict=True)
        return torch.cat(embeddings, dim=1), torch.cat(times)

    def _frames_within(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """The front end's chunks of frames and times, without frames whose centre lies beyond the end of the audio."""
        front, cache = self.frontend, self.cache
        for frames, times in front.stream(audio) if cache is None else cache.stream(front, audio):
            if front.padded:
                within = frames_within(times, audio.shape[1], front.hop, front.sample_rate)
                frames, times = frames[:, :within], times[:within]
            if len(times):
                yield frames, times
