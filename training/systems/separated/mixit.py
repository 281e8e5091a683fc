"""Mixture-invariant training (MixIT; Wisdom et al. 2020, arXiv 2006.12701): separation learned from mixtures alone.

Two recordings are added up and separated into M sources. Which source belongs to which recording is not known, so the
loss is that of the best of the 2^M ways to sum the sources to two recordings again.
"""

from __future__ import annotations

import itertools
from functools import cache

import torch
from torch import Tensor

#: An error this much weaker than the recording counts no less: the soft threshold τ, 30 dB down as in the source.
FLOOR = 1e-3
#: Keeps the logarithms of a silent recording finite.
_EPS = 1e-8


@cache
def assignments(sources: int) -> Tensor:
    """Every way A to divide ``sources`` among two recordings, 0 or 1, float32 [2^source, recording, source].

    >>> assignments(2)[:, 0].tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    first = torch.tensor(list(itertools.product((0.0, 1.0), repeat=sources)))
    return torch.stack([first, 1 - first], dim=1)


def remix_errors(mixtures: Tensor, sources: Tensor) -> Tensor:
    """‖x_i − [A s]_i‖² of every A: from x [clip, 2, sample] and s [clip, source, sample] to [clip, 2^source, 2].

    By Gram matrices, ‖x_i‖² − 2 a_iᵀ (S x_i) + a_iᵀ (S Sᵀ) a_i: nothing of the size 2^M × samples is ever made. It is a
    difference of large numbers, exact to about 1e-6 of ‖x_i‖² in float32, so it stands with a `FLOOR` well above that.
    """
    a = assignments(sources.shape[1]).to(sources)
    gram, cross = sources @ sources.mT, mixtures @ sources.mT  # [clip, source, source], [clip, 2, source]
    quadratic = torch.einsum("arm,bmn,arn->bar", a, gram, a)
    errors = mixtures.square().sum(-1)[:, None] - 2 * torch.einsum("arm,brm->bar", a, cross) + quadratic
    return errors.clamp_min(0)


def mixit(mixtures: Tensor, sources: Tensor, floor: float = FLOOR) -> Tensor:
    """min_A ½ Σ_i 10 log10( (‖x_i − [A s]_i‖² + τ ‖x_i‖²) / ‖x_i‖² ), the negative SNR in dB, [clip].

    The minimum is over all 2^M assignments A of M sources to the two recordings x_i. It is at least 10 log10 τ.

    Args:
        mixtures: the recordings x, [clip, 2, sample].
        sources: what their sum was separated into, s [clip, source, sample].
        floor: τ.
    """
    power = mixtures.square().sum(-1)[:, None]  # [clip, 1, 2]
    errors = remix_errors(mixtures, sources) + floor * power
    loss = 10 * (torch.log10(errors + _EPS) - torch.log10(power + _EPS))
    return loss.mean(-1).amin(1)


def sparsity(sources: Tensor) -> Tensor:
    """Σ_m r_m / (Σ_m r_m²)^½ of the levels r of the ``sources`` [clip, source, sample]: [clip].

    It is 1 where one source has everything, and √M where all are equally loud. MixIT is content with a source that is
    spread over several outputs; this is not. The idea is that of sparse MixIT (Wisdom et al. 2021, arXiv 2106.00847),
    of which only the abstract was at hand.
    """
    power = sources.square().mean(-1) + _EPS  # keeps the slope at silence finite
    return power.sqrt().sum(1) / power.sum(1).sqrt()
