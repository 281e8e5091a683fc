"""One convolutional encoder of two views, with a head for similarity and one for coincidence (arXiv 2105.02132)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hear_multiview.encoders import make_encoder
from training.data.batches import Batch
from training.distributed import WHOLE, BatchShard
from training.methods import Method


@dataclass(frozen=True)
class SeparatedOutput:
    """What is made of the two views of a batch.

    Attributes:
        embedding: z of the similarity head, of each view, [example, dim].
        temperature: τ of the cosines.
        pooled: the encoder's embedding of each view, [example, latent].
        coincide: from ``pooled`` [i, latent] and [j, latent] to a logit for each pair, [i, j].
        shard: the batch's.
    """

    embedding: tuple[Tensor, Tensor]
    temperature: float
    pooled: tuple[Tensor, Tensor]
    coincide: Callable[[Tensor, Tensor], Tensor]
    shard: BatchShard = WHOLE


class Coincidence(nn.Module):
    """A layer of ``width`` units on a pair of embeddings, and a logit: do the two belong together?"""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, width), nn.Linear(dim, width, bias=False)
        self.output = nn.Linear(width, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a [i, dim] and b [j, dim] to [i, j]. The layer of a ⊕ b is a sum of two, so that each is computed once."""
        logits: Tensor = self.output(torch.relu(self.first(a)[:, None] + self.second(b)))[..., 0]
        return logits


class SeparatedEncoder(nn.Module):
    """A `conv2d` encoder and the two heads. They serve training only: an embedding is what the encoder gives."""

    def __init__(
        self, dim: int, projection: int = 256, temperature: float = 0.2, width: int = 128, **encoder: Any
    ) -> None:
        """Make the model, with weights drawn from torch's random state.

        Args:
            dim: of a front-end frame.
            projection: size of z.
            temperature: τ.
            width: units of the head for coincidence.
            encoder: arguments of the encoder.
        """
        super().__init__()
        self.encoder = make_encoder("conv2d", dim=dim, **encoder)
        latent = self.encoder.parts["embedding"]
        self.similarity_head = nn.Sequential(nn.LayerNorm(latent), nn.Tanh(), nn.Linear(latent, projection))
        self.normalise, self.coincidence_head = nn.LayerNorm(latent), Coincidence(latent, width)
        self.temperature = temperature

    def forward(self, batch: Batch) -> SeparatedOutput:
        """Both views through the same encoder and head."""
        h = self.encoder(torch.cat(batch.views))[0].amax(1)  # [view · example, latent]
        first, second = h.split(len(batch))
        return SeparatedOutput(
            embedding=(self.similarity_head(first), self.similarity_head(second)),
            temperature=self.temperature,
            pooled=(self.normalise(first), self.normalise(second)),
            coincide=self.coincidence_head,
            shard=batch.shard,
        )


METHODS: dict[str, Method] = {
    "separated": Method(
        lambda dim, _, **model: SeparatedEncoder(dim, **model), paper="2105.02132", sound="sound scenes"
    )
}
