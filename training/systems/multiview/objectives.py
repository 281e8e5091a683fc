"""The objectives, equation by equation, each returning its own unweighted term.

The paper takes logarithms of cosines. A cosine lies in [−1, 1], so log sim is undefined for sim ≤ 0 and log(1 − sim) is
infinite at 1. We map sim to (1 + cos) / 2, which lies in [0, 1], and hold it `FLOOR` away from the ends, so that values
and gradients are finite everywhere. The frames of two clips are not aligned in time, so each clip's frames are averaged
before the cosine.

Each is a mean over pairs. A term that holds a pair against others takes them from `Share.everywhere`: with several
processes, each has a part of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, cross_entropy, mse_loss

from training.systems.multiview.methods import Classified, Embedded, Posteriors, TwoViews

#: Keeps a similarity away from 0 and 1. At 1e-4 no term exceeds −log 1e-4 = 9.2, nor its slope 1e4.
FLOOR = 1e-4
#: How often the terms of the shared posterior count, beside those of two private ones. Where it is 2, what both views
#: share costs the same in either half; where it is 1, so does the sum of what each has for itself. Between them, both
#: have one place.
SHARED = 1.25


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """sim(a, b) = (1 + cos(a, b)) / 2 over the last axis, held within [`FLOOR`, 1 − `FLOOR`] without losing the slope.

    >>> one = torch.ones(1, 2)
    >>> [round(similarity(one, k * one).item(), 4) for k in (-1.0, 1.0)]
    [0.0001, 0.9999]
    """
    return FLOOR + (1 - 2 * FLOOR) * (1 + cosine_similarity(a, b, dim=-1)) / 2


def pooled(z: Tensor) -> Tensor:
    """[pair, frame, dim] to the mean over frames, [pair, dim]."""
    return z.mean(dim=1)


def reconstruction(out: TwoViews | Posteriors) -> Tensor:
    """Eq. 1: the mean squared error, summed over the two views."""
    (x_1, x_2), (x_hat_1, x_hat_2) = out.target, out.reconstruction
    return mse_loss(x_hat_1, x_1) + mse_loss(x_hat_2, x_2)


def cosine_shared_sample(out: TwoViews) -> Tensor:
    """Eq. 2: L_cos+ = −E_j log sim(z_s1^j, z_s2^j), which draws the shared halves of a pair together."""
    shared_1, shared_2 = out.shared
    return -similarity(pooled(shared_1), pooled(shared_2)).log().mean()


def cosine_private_sample(out: TwoViews) -> Tensor:
    """Eq. 3: L_cos− = −E_j log(1 − sim(z_p1^j, z_p2^j)), which drives the private halves of a pair apart."""
    private_1, private_2 = out.private
    return -(1 - similarity(pooled(private_1), pooled(private_2))).log().mean()


def cosine_shared_batch(out: TwoViews) -> Tensor:
    """Eq. 4: L_cos+ = −E_j log( exp sim(z_s1^j, z_s2^j) / Σ_k exp sim(z_s1^j, z_s2^k) ), over the pairs k of the batch.

    Nothing here needs sim to be positive, so it is the cosine itself, and there is no temperature, as in the formula.
    """
    shared_1, shared_2 = (out.share.everywhere(pooled(z)) for z in out.shared)
    logits = cosine_similarity(shared_1[:, None], shared_2[None], dim=-1)
    return cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def cosine_private_batch(out: TwoViews) -> Tensor:
    """Eq. 5: L_cos− = −E_{j,k} log(1 − sim(z_p1^j, z_p2^k)), over all j and k of the batch."""
    private_1, private_2 = (out.share.everywhere(pooled(z)) for z in out.private)
    return -(1 - similarity(private_1[:, None], private_2[None])).log().mean()


def mutual_information(out: Posteriors) -> Tensor:
    """Wilkins et al. 2024, weight α: I(x; z), what the latents tell of which frame it is, estimated within the batch;
    of the private posteriors, summed over the views, and `SHARED` times of the shared one, which is one for both."""
    return _of_all(out, "mutual_information")


def total_correlation(out: Posteriors) -> Tensor:
    """Weight β: KL(q(z) ‖ Π_d q(z_d)), how far the dimensions are from independent; of the same posteriors."""
    return _of_all(out, "total_correlation")


def dimension_wise_kl(out: Posteriors) -> Tensor:
    """Weight γ: Σ_d KL(q(z_d) ‖ N(0, 1)); of the same posteriors."""
    return _of_all(out, "dimension_wise_kl")


def _of_all(out: Posteriors, term: str) -> Tensor:
    private_1, private_2, shared = (getattr(q.decomposition, term) for q in (*out.private, out.shared))
    total: Tensor = private_1 + private_2 + SHARED * shared
    return total


def info_nce(out: Embedded) -> Tensor:
    """The contrastive baseline: −E_j log( exp(cos(z̄_1^j, z̄_2^j) / τ) / Σ_k exp(cos(z̄_1^j, z̄_2^k) / τ) ), the mean of
    it from view 1 to view 2 and back. The paper says "InfoNCE" and no more; pairs k of one sensor count as negatives.
    """
    z_1, z_2 = (out.share.everywhere(z) for z in out.embedding)
    logits = cosine_similarity(z_1[:, None], z_2[None], dim=-1) / out.temperature
    truth = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, truth) + cross_entropy(logits.T, truth)) / 2


def source_entropy(out: Classified) -> Tensor:
    """The supervised baseline for sources: binary cross-entropy, the mean over clips and classes."""
    return binary_cross_entropy_with_logits(out.source_logits, out.sources)


def sensor_entropy(out: Classified) -> Tensor:
    """The supervised baseline for sensors: cross-entropy over the training sensors, the mean over clips."""
    return cross_entropy(out.sensor_logits, out.sensor)


#: Every term that a recipe may weight, by name; each takes what its method returns.
OBJECTIVES: dict[str, Callable[[Any], Tensor]] = {
    "reconstruction": reconstruction,
    "cosine_shared_sample": cosine_shared_sample,
    "cosine_private_sample": cosine_private_sample,
    "cosine_shared_batch": cosine_shared_batch,
    "cosine_private_batch": cosine_private_batch,
    "mutual_information": mutual_information,
    "total_correlation": total_correlation,
    "dimension_wise_kl": dimension_wise_kl,
    "info_nce": info_nce,
    "source_entropy": source_entropy,
    "sensor_entropy": sensor_entropy,
}
