"""The three parts of the KL divergence, each with a weight of its own (α, β, γ of arXiv 2411.02711)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from training.systems.music.methods import VAEOutput

#: Weight of the shared posterior's terms beside those of two private ones. At 2, what both views share costs the same
#: in either half; at 1, so does the sum of what each has for itself. In between, each has one place.
SHARED_POSTERIOR_WEIGHT = 1.25


def mutual_information(out: VAEOutput) -> Tensor:
    """Weight α: I(x; z), what the latents tell of which frame it is, estimated within the batch.

    The sum over both private posteriors, and `SHARED_POSTERIOR_WEIGHT` times the shared one; in nats.
    """
    return _over_posteriors(out, "mutual_information")


def total_correlation(out: VAEOutput) -> Tensor:
    """Weight β: KL(q(z) ‖ Π_d q(z_d)), how far the dimensions are from independent; over the same posteriors."""
    return _over_posteriors(out, "total_correlation")


def dimension_wise_kl(out: VAEOutput) -> Tensor:
    """Weight γ: Σ_d KL(q(z_d) ‖ N(0, 1)); over the same posteriors."""
    return _over_posteriors(out, "dimension_wise_kl")


def _over_posteriors(out: VAEOutput, term: str) -> Tensor:
    private_1, private_2, shared = (getattr(q.decomposition, term) for q in (*out.private, out.shared))
    total: Tensor = private_1 + private_2 + SHARED_POSTERIOR_WEIGHT * shared
    return total


OBJECTIVES: dict[str, Callable[[Any], Tensor]] = {
    "mutual_information": mutual_information,
    "total_correlation": total_correlation,
    "dimension_wise_kl": dimension_wise_kl,
}
