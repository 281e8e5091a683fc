"""Diagonal Gaussian posteriors: drawn from, fused, and their KL divergence from the prior in its three parts.

β-TCVAE (Chen et al. 2018) divides E_x KL(q(z|x) ‖ p(z)), with p(z) = N(0, 1) in every dimension d, into

    I(x; z)  +  KL(q(z) ‖ Π_d q(z_d))  +  Σ_d KL(q(z_d) ‖ p(z_d)),

where q(z) = E_x q(z|x). Here q(z) is estimated from the batch itself: log q(z_i) ≈ log (1/N) Σ_j q(z_i|x_j), over its N
posteriors, its own among them.

**Bias.** The own posterior is the largest of the N, so q(z) comes out too large and I(x; z) too small: it is never
above log N, and near it where the posteriors of a batch do not overlap (N = 256: 5.5 nats). What I(x; z) lacks, the
other two terms have too much of; their sum is without bias. Minibatch-weighted sampling divides by N times the size of
the data set, too, which adds a constant to the terms and nothing to their gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Decomposition:
    """The three parts of a KL divergence, in nats: scalars."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


@dataclass(frozen=True)
class Gaussian:
    """N posteriors q(z|x_i): ``mean`` and ``log_variance``, each [N, dim]."""

    mean: Tensor
    log_variance: Tensor

    @cached_property
    def sample(self) -> Tensor:
        """One draw of each, [N, dim], always the same; from torch's random state when it is first asked for."""
        return self.mean + (self.log_variance / 2).exp() * torch.randn_like(self.mean)

    @cached_property
    def decomposition(self) -> Decomposition:
        """Of the mean KL divergence from N(0, 1), estimated from the `sample`."""
        z = self.sample
        every = _log_density(z[:, None], self.mean, self.log_variance)  # [sample, posterior, dim]
        own = every.diagonal().T.sum(1)
        joint = every.sum(2).logsumexp(1) - math.log(len(z))
        marginals = every.logsumexp(1) - math.log(len(z))
        prior = _log_density(z, torch.zeros_like(z), torch.zeros_like(z))
        return Decomposition(
            mutual_information=(own - joint).mean(),
            total_correlation=(joint - marginals.sum(1)).mean(),
            dimension_wise_kl=(marginals - prior).sum(1).mean(),
        )


def product_of_experts(*posteriors: Gaussian) -> Gaussian:
    """The posterior given all views, from one posterior q_i a view: ∝ p(z) Π q_i(z) / p(z), with the prior p = N(0, 1).

    This is the product of experts of Wu and Goodman (2018) with q_i / p for experts: the prior, which every q_i holds
    already, counts once. Precisions add up to Σ 1/σ_i² − (n − 1), and means are weighted by them, so no σ_i may be
    above 1. A view that says nothing has q_i = p, mean 0 included: were the experts themselves what an encoder gives,
    the mean of a flat one would be arbitrary, and an embedding would hold what no posterior does.

    >>> one = Gaussian(torch.tensor([[2.0]]), torch.tensor([[1 / 2]]).log())
    >>> product_of_experts(one, one).mean  # (2 · 2 + 2 · 2) / (2 + 2 − 1)
    tensor([[2.6667]])
    """
    precisions = [(-q.log_variance).exp() for q in posteriors]
    total = torch.stack(precisions).sum(0) - (len(posteriors) - 1)
    weighted = torch.stack([p * q.mean for p, q in zip(precisions, posteriors, strict=True)]).sum(0)
    return Gaussian(weighted / total, -total.log())


def _log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, exp log_variance), of each entry."""
    return -(math.log(2 * math.pi) + log_variance + (z - mean).square() * (-log_variance).exp()) / 2
