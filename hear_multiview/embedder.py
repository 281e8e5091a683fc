"""What ``load_model`` returns: a front end and an encoder as one HEAR model, streaming over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from hear_multiview.audio.streamed import Audio
from hear_multiview.encoders.base import Encoder, views_of
from hear_multiview.encoders.pooling import Pool, Pooling, known_pool, pooled_sizes
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
        sizes: name to number of dimensions of each part of a frame embedding.
        pools: name to how the frames of that part become its share of a scene embedding.
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
        """Join front end and encoder. ``pool`` None is each part's own, and the mean for the view ``frontend``."""
        super().__init__()
        if encoder is None and view != "frontend":
            raise ValueError(f"view {view!r} needs an encoder; give a checkpoint")
        self.frontend = frontend
        self.encoder = encoder
        self.view = view
        self.cache = cache
        self.sizes: dict[str, int]
        self.sample_rate = frontend.sample_rate
        own: Mapping[str, Pool] = {"frontend": "mean"}
        if encoder is None or view == "frontend":
            self.stride, self.sizes = 1, {view: frontend.dim}
        elif view in views_of(encoder):
            self.stride, own = encoder.stride, encoder.pools
            self.sizes = {name: size for name, size in encoder.parts.items() if view in ("joint", name)}
        else:
            raise ValueError(f"unknown view {view!r}; choose from {', '.join(views_of(encoder))}")
        self.pools = {name: known_pool(pool) if pool else own[name] for name in self.sizes}
        self.timestamp_embedding_size = sum(self.sizes.values())
        self.scene_embedding_size = sum(pooled_sizes(self.sizes, self.pools).values())
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
        """[clip, sample] to its frame embeddings pooled over time, float32 [clip, size]; a part is one range of it."""
        poolings = [Pooling(pool) for pool in self.pools.values()]
        for z, _ in self.stream(audio):
            for pooling, part in zip(poolings, z.split(list(self.sizes.values()), dim=2), strict=True):
                pooling.add(part)
        return torch.cat([pooling.scene() for pooling in poolings], dim=1)

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
