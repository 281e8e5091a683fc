"""Fused and decomposed Gaussians against closed forms, integration on a grid, and Monte Carlo with many posteriors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.systems.music.gaussians import Gaussian, product_of_experts

TERMS = ("mutual_information", "total_correlation", "dimension_wise_kl")


def normal(seed: int, count: int, dim: int) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, count, dim, generator=generator)
    return Gaussian(mean, log_variance)


def estimates(mean: np.ndarray, log_variance: np.ndarray, repeats: int) -> dict[str, float]:
    """Each term, a mean over ``repeats`` draws."""
    torch.manual_seed(0)
    found = {term: 0.0 for term in TERMS}
    for _ in range(repeats):
        parts = Gaussian(torch.from_numpy(mean), torch.from_numpy(log_variance)).decomposition
        for term in TERMS:
            found[term] += getattr(parts, term).item() / repeats
    return found


def test_a_product_of_experts_is_the_normalised_product_of_densities() -> None:
    """The prior, and each posterior over the prior, multiplied on a grid and divided by their integral."""
    first, second = (Gaussian(q.mean, -q.log_variance.abs()) for q in (normal(0, 3, 1), normal(1, 3, 1)))
    fused = product_of_experts(first, second)
    z = np.linspace(-15, 15, 60_001)
    for row in range(3):
        density = np.exp(-(z**2) / 2)
        for expert in (first, second):
            mean, variance = expert.mean[row].item(), np.exp(expert.log_variance[row].item())
            density *= np.exp(z**2 / 2 - (z - mean) ** 2 / (2 * variance))
        density /= density.sum() * (z[1] - z[0])
        mean = (z * density).sum() * (z[1] - z[0])
        assert fused.mean[row].item() == pytest.approx(mean, abs=1e-5)
        variance = ((z - mean) ** 2 * density).sum() * (z[1] - z[0])
        assert np.exp(fused.log_variance[row].item()) == pytest.approx(variance, rel=1e-4)


def test_a_view_that_says_nothing_changes_nothing() -> None:
    told, nothing = (
        Gaussian(torch.tensor([[1.5]]), torch.tensor([[-2.0]])),
        Gaussian(torch.zeros(1, 1), torch.zeros(1, 1)),
    )
    fused = product_of_experts(told, nothing)
    torch.testing.assert_close((fused.mean, fused.log_variance), (told.mean, told.log_variance))


def test_a_sample_is_drawn_once_with_its_own_mean_and_variance() -> None:
    torch.manual_seed(0)
    q = Gaussian(torch.full((20_000, 2), 3.0), torch.tensor([0.0, -2.0]).expand(20_000, 2))
    assert q.sample is q.sample
    np.testing.assert_allclose(q.sample.mean(0), [3, 3], atol=0.03)
    np.testing.assert_allclose(q.sample.var(0), np.exp([0, -2]), rtol=0.05)


def test_the_terms_add_up_to_the_kl_divergence_in_its_closed_form() -> None:
    """Without bias, whatever the batch: KL = Σ (μ² + σ² − log σ² − 1) / 2."""
    q = normal(2, 16, 3)
    mean, log_variance = q.mean.double().numpy(), q.log_variance.double().numpy()
    exact = ((mean**2 + np.exp(log_variance) - log_variance - 1) / 2).sum(1).mean()
    assert sum(estimates(mean, log_variance, 4000).values()) == pytest.approx(exact, rel=0.01)


def test_each_term_where_the_aggregate_is_a_known_gaussian() -> None:
    """Means from N(m, S) and one σ² make q(z) = N(m, S + σ²): every term has a closed form. So many posteriors that the
    bias of the batch is small against the tolerance."""
    sigma, cov, centre = 0.7, np.array([[1.0, 0.6], [0.6, 0.8]]), np.array([0.5, -0.3])
    mean = np.random.default_rng(0).multivariate_normal(centre, cov, 3000)
    found = estimates(mean, np.full_like(mean, 2 * np.log(sigma)), 1)
    total = cov + sigma**2 * np.eye(2)
    log_det = np.log(np.linalg.det(total))
    expected = {
        "mutual_information": (log_det - 2 * np.log(sigma**2)) / 2,
        "total_correlation": (np.log(np.diag(total)).sum() - log_det) / 2,
        "dimension_wise_kl": ((np.diag(total) + centre**2 - 1 - np.log(np.diag(total))) / 2).sum(),
    }
    for term in TERMS:
        assert found[term] == pytest.approx(expected[term], abs=0.05), term


def test_the_mixture_of_a_batch_is_integrated_right() -> None:
    """One dimension, five posteriors: q(z) is exactly their mixture, and each term an integral over a grid."""
    q = normal(3, 5, 1)
    mean, log_variance = q.mean.double().numpy(), q.log_variance.double().numpy()
    z = np.linspace(-15, 15, 30_001)
    each = np.exp(-((z - mean) ** 2) / (2 * np.exp(log_variance))) / np.sqrt(2 * np.pi * np.exp(log_variance))
    mixture, prior, step = each.mean(0), np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), z[1] - z[0]
    inside = mixture > 1e-300
    found = estimates(mean, log_variance, 6000)
    ratio = np.log(np.maximum(each, 1e-300) / np.maximum(mixture, 1e-300))
    assert found["mutual_information"] == pytest.approx((each * ratio).sum(1).mean() * step, abs=0.02)
    assert found["total_correlation"] == pytest.approx(0, abs=1e-9)
    divergence = (mixture[inside] * np.log(mixture[inside] / prior[inside])).sum() * step
    assert found["dimension_wise_kl"] == pytest.approx(divergence, abs=0.03)


@pytest.mark.parametrize("count", [4, 32])
def test_mutual_information_saturates_at_the_logarithm_of_the_batch(count: int) -> None:
    """The bias that the module tells of: posteriors far apart tell which they are, log N and no more."""
    mean = 100 * np.arange(count, dtype=float)[:, None]
    found = estimates(mean, np.zeros_like(mean), 3)
    assert found["mutual_information"] == pytest.approx(np.log(count), abs=1e-6)
    half = estimates(np.random.default_rng(0).normal(size=(count, 1)), np.zeros((count, 1)), 2000)
    assert 0 < half["mutual_information"] < np.log(2) / 2 + 0.05  # of an endless batch: log(1 + 1) / 2


def test_gradients_of_every_term_reach_mean_and_variance() -> None:
    for term in TERMS:
        mean, log_variance = torch.randn(2, 6, 3, requires_grad=True).unbind()
        both = torch.stack([mean, log_variance]).detach().requires_grad_()
        getattr(Gaussian(both[0], both[1]).decomposition, term).backward()
        assert both.grad is not None
        assert torch.isfinite(both.grad).all()
        assert (both.grad.abs().sum((1, 2)) > 0).all(), term
