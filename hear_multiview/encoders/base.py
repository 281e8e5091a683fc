"""What every encoder has, and what an embedding is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from hear_multiview.encoders.pooling import Pool


class Encoder(Protocol):
    """What is used of an encoder, which is an ``nn.Module``.

    It treats a frame the same whatever else is in the batch, and a clip the same whatever its neighbours are.
    """

    mean: Tensor
    scale: Tensor

    @property
    def parts(self) -> Mapping[str, int]:
        """Name to size of each part of an embedding, in the order in which the joint embedding concatenates them."""

    @property
    def stride(self) -> int:
        """Input frames per output frame: output frame j stands for input frames ``j · stride`` to ``(j + 1) · stride -
        1``; the last one for fewer where the clip ends earlier."""

    @property
    def context(self) -> int:
        """How many input frames an output frame sees on either side of those that it stands for."""

    @property
    def pools(self) -> Mapping[str, Pool]:
        """How the frames of each part become its share of a scene embedding, in the order of the parts."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What `make_encoder` takes to make another one like it, for a checkpoint's card."""

    def standardise(self, x: Tensor) -> Tensor:
        """x [..., dim] with the buffer ``mean`` [dim] removed, divided by the buffer ``scale`` [dim]."""

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Front-end frames x [clip, frame, dim] to the parts, each [clip, ceil(frame / stride), size]."""

    # What it has as an nn.Module:

    def state_dict(self) -> dict[str, Any]:
        """Its tensors by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take over the tensors of another one."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What is trained."""


def views_of(encoder: Encoder) -> tuple[str, ...]:
    """What an embedding may be: all parts together, one of them, or the front end's own output."""
    return "joint", *encoder.parts, "frontend"


def embed(encoder: Encoder | None, x: Tensor, view: str) -> Tensor:
    """Embed front-end frames.

    Args:
        x: [clip, frame, dim].
        view: one of `views_of` the encoder.

    Returns:
        x itself for ``frontend``, the parts side by side for ``joint``, or the part of that name: [clip, ceil(frame /
        stride), size].
    """
    if view == "frontend" or encoder is None:
        return x
    parts = encoder(x)
    return torch.cat(parts, dim=-1) if view == "joint" else parts[list(encoder.parts).index(view)]
