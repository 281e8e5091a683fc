"""Contrast: two views of one example against views of the other examples of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from training.distributed import WHOLE, BatchShard


class Contrasted(Protocol):
    """What a method that contrasts two views returns."""

    @property
    def embedding(self) -> tuple[Tensor, Tensor]:
        """z_1 and z_2, [example, dim]."""

    @property
    def temperature(self) -> float:
        """τ of the cosines."""

    @property
    def shard(self) -> BatchShard:
        """The batch's."""


@dataclass(frozen=True)
class ContrastiveOutput:
    """Embeddings z_1, z_2 of two views, each [example, dim], the temperature, and the batch's shard."""

    embedding: tuple[Tensor, Tensor]
    temperature: float
    shard: BatchShard = WHOLE


def supervised_contrast(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Contrast of what has one label against all else (Khosla et al. 2020, arXiv 2004.11362, their L_out).

    The mean over rows i of −1/|P(i)| Σ_{p ∈ P(i)} log( exp(cos(z_i, z_p) / τ) / Σ_{k ≠ i} exp(cos(z_i, z_k) / τ) ),
    where P(i) are the other rows with the label of row i; every row needs one.

    Args:
        z: [row, dim].
        labels: int64 [row].
        temperature: τ.
    """
    logits = cosine_similarity(z[:, None], z[None], dim=-1) / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_share = logits - logits.masked_fill(itself, -torch.inf).logsumexp(dim=1, keepdim=True)
    alike = (labels[:, None] == labels) & ~itself
    return -((log_share * alike).sum(dim=1) / alike.sum(dim=1)).mean()


def info_nce(out: Contrasted) -> Tensor:
    """InfoNCE (van den Oord et al. 2018) on cosines, the mean of both directions (as NT-Xent of Chen et al. 2020).

    −E_j log( exp(cos(z_1^j, z_2^j) / τ) / Σ_k exp(cos(z_1^j, z_2^k) / τ) ) and the same from view 2 to view 1. Every
    other example k of the batch is a negative, also one of the same group.
    """
    z_1, z_2 = (out.shard.all_gather(z) for z in out.embedding)
    logits = cosine_similarity(z_1[:, None], z_2[None], dim=-1) / out.temperature
    truth = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, truth) + cross_entropy(logits.T, truth)) / 2
