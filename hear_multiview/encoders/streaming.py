"""Frames that come in chunks, embedded as those of the whole clip."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from hear_multiview.encoders.base import Encoder, embed

#: Front-end frames [clip, frame, dim], or embeddings, and their times [frame].
Chunk = tuple[Tensor, Tensor]


def embed_chunks(encoder: Encoder, chunks: Iterable[Chunk], view: str) -> Iterator[Chunk]:
    """Yield the ``view`` of consecutive ``chunks`` of a batch of clips, with the times of its frames.

    An output frame is computed once the input frames that it sees are there. Those that later ones see too are held
    back, so the result is that of the whole clip, however it is cut, and memory is bounded by a chunk and the encoder's
    context. Only at the clip's own ends does the encoder pad. The time of an output frame is the mean of the times of
    the input frames that it stands for.
    """
    stride, context = encoder.stride, encoder.context
    before = -(-context // stride)  # in output frames, so that what is held begins with an output frame
    held: Chunk | None = None
    start = done = 0  # output frames: at which ``held`` begins, and up to which all are yielded
    for chunk in itertools.chain(chunks, [None]):
        if chunk is not None:
            held = chunk if held is None or not len(held[1]) else _joined(held, chunk)
            ready = start + (len(held[1]) - context) // stride
        elif held is not None:
            ready = start + -(-len(held[1]) // stride)  # the clip has ended: nothing else is to come
        if held is None or ready <= done:
            continue
        x, times = held
        z = embed(encoder, x, view)[:, done - start : ready - start]
        yield z, _mean_times(times[(done - start) * stride : (ready - start) * stride], stride)
        done = ready
        keep = max(done - before, start)
        held = x[:, (keep - start) * stride :], times[(keep - start) * stride :]
        start = keep


def _joined(held: Chunk, chunk: Chunk) -> Chunk:
    return torch.cat([held[0], chunk[0]], dim=1), torch.cat([held[1], chunk[1]])


def _mean_times(times: Tensor, stride: int) -> Tensor:
    """The mean of every ``stride`` of the ``times`` [frame], and of what is left; float32."""
    return nn.functional.avg_pool1d(times.double()[None], stride, ceil_mode=True)[0].float()
