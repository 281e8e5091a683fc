"""Frames that come in chunks, embedded as those of the whole clip."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from hear_multiview.encoders.base import Encoder, embed

#: Front-end frames [clip, frame, dim], or embeddings, and their times [frame].
Chunk = tuple[Tensor, Tensor]


def embed_chunks(encoder: Encoder, chunks: Iterable[Chunk], view: str) -> Iterator[Chunk]:
    """Yield the ``view`` of consecutive ``chunks`` of a batch of clips, with the times of its frames.

    An output frame is computed once the input frames that it sees are there. Those that later ones see too are held
    back, so the result is that of the whole clip, however it is cut, and memory is bounded by a chunk and the encoder's
    context. Only at the clip's own ends does the encoder pad. The time of an output frame is the centre of the input
    frames that it stands for. Of fewer than ``stride`` frames at the end, the output frame is dropped where its centre
    would lie behind them, unless it is the only one.
    """
    stride, context = encoder.stride, encoder.context
    before = -(-context // stride)  # in output frames, so that what is held begins with an output frame
    held: Chunk | None = None
    start = done = 0  # output frames: at which ``held`` begins, and up to which all are yielded
    step = 0.0  # milliseconds from one input frame to the next
    for chunk in itertools.chain(chunks, [None]):
        if chunk is not None:
            held = chunk if held is None or not len(held[1]) else _joined(held, chunk)
            ready = start + (len(held[1]) - context) // stride
            if not step and len(held[1]) > 1:
                step = float(held[1][1] - held[1][0])
        elif held is not None:
            ready = start + (len(held[1]) + stride // 2) // stride  # the clip has ended: nothing else is to come
            ready = max(ready, 1)
        if held is None or ready <= done:
            continue
        x, times = held
        z = embed(encoder, x, view)[:, done - start : ready - start]
        yield z, _centres(times[(done - start) * stride : (ready - start) * stride], stride, step, alone=ready == 1)
        done = ready
        keep = max(done - before, start)
        held = x[:, (keep - start) * stride :], times[(keep - start) * stride :]
        start = keep


def _joined(held: Chunk, chunk: Chunk) -> Chunk:
    return torch.cat([held[0], chunk[0]], dim=1), torch.cat([held[1], chunk[1]])


def _centres(times: Tensor, stride: int, step: float, *, alone: bool) -> Tensor:
    """The centre of every ``stride`` of the ``times`` [frame] that are ``step`` apart, float32.

    The last few, if they are fewer, count as if the frames went on; a clip of fewer frames in all has their own centre.
    """
    if alone and len(times) < stride:
        return times.mean()[None]
    return (times[::stride].double() + (stride - 1) / 2 * step).float()
