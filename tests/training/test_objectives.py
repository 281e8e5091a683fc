"""Every term against an independent float64 reference written from the formula, and its gradient at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.models import TwoViews
from training.objectives import FLOOR, OBJECTIVES, similarity


def views(seed: int, pairs: int = 3, frames: int = 4, dim: int = 5) -> TwoViews:
    generator = torch.Generator().manual_seed(seed)

    def two(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        x_1, x_2 = torch.randn(2, pairs, frames, size, generator=generator)
        return x_1, x_2

    return TwoViews(target=two(2 * dim), reconstruction=two(2 * dim), private=two(dim), shared=two(dim))


def reference_reconstruction(out: TwoViews) -> float:
    return sum(
        float(np.mean((x.double().numpy() - x_hat.double().numpy()) ** 2))
        for x, x_hat in zip(out.target, out.reconstruction, strict=True)
    )


def reference_similarity(a: np.ndarray, b: np.ndarray) -> float:
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    return FLOOR + (1 - 2 * FLOOR) * (1 + cosine) / 2


def means(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    z_1, z_2 = (z.double().numpy().mean(1) for z in pair)
    return z_1, z_2


def reference_cosine_private_sample(out: TwoViews) -> float:
    """−E_j log(1 − sim(z_p1^j, z_p2^j)) with each z the mean over its frames."""
    return float(np.mean([-np.log(1 - reference_similarity(a, b)) for a, b in zip(*means(out.private), strict=True)]))


def reference_cosine_shared_sample(out: TwoViews) -> float:
    """−E_j log sim(z_s1^j, z_s2^j)."""
    return float(np.mean([-np.log(reference_similarity(a, b)) for a, b in zip(*means(out.shared), strict=True)]))


def reference_cosine_shared_batch(out: TwoViews) -> float:
    """−E_j log( exp sim(z_s1^j, z_s2^j) / Σ_k exp sim(z_s1^j, z_s2^k) ), sim the cosine."""
    z_1, z_2 = means(out.shared)
    terms = []
    for j in range(len(z_1)):
        sims = [z_1[j] @ b / np.sqrt((z_1[j] @ z_1[j]) * (b @ b)) for b in z_2]
        terms.append(-np.log(np.exp(sims[j]) / np.sum(np.exp(sims))))
    return float(np.mean(terms))


def reference_cosine_private_batch(out: TwoViews) -> float:
    """−E_{j,k} log(1 − sim(z_p1^j, z_p2^k))."""
    z_1, z_2 = means(out.private)
    return float(np.mean([-np.log(1 - reference_similarity(a, b)) for a in z_1 for b in z_2]))


REFERENCES = {
    "reconstruction": reference_reconstruction,
    "cosine_shared_sample": reference_cosine_shared_sample,
    "cosine_shared_batch": reference_cosine_shared_batch,
    "cosine_private_batch": reference_cosine_private_batch,
    "cosine_private_sample": reference_cosine_private_sample,
}


def test_every_objective_has_a_reference() -> None:
    assert REFERENCES.keys() == OBJECTIVES.keys()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(OBJECTIVES)), st.integers(0, 1000), st.integers(1, 4), st.integers(1, 5))
def test_against_the_formula(name: str, seed: int, pairs: int, frames: int) -> None:
    out = views(seed, pairs, frames)
    assert OBJECTIVES[name](out).item() == pytest.approx(REFERENCES[name](out), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("cosine", "expected"), [(-1.0, FLOOR), (0.0, 0.5), (1.0, 1 - FLOOR)])
def test_similarity_at_the_edges_is_finite_with_a_finite_slope(cosine: float, expected: float) -> None:
    a = torch.tensor([[1.0, 0.0]], requires_grad=True)
    b = torch.tensor([[cosine, float(np.sqrt(1 - cosine**2))]])
    value = similarity(a, b)
    assert value.item() == pytest.approx(expected, abs=1e-6)
    for loss in (-value.log(), -(1 - value).log()):
        (slope,) = torch.autograd.grad(loss.sum(), a, retain_graph=True)
        assert torch.isfinite(loss).all()
        assert torch.isfinite(slope).all()


def test_zero_vectors_are_finite() -> None:
    a = torch.zeros(1, 3, requires_grad=True)
    loss = -(1 - similarity(a, torch.zeros(1, 3))).log()
    loss.sum().backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_gradients_reach_the_encoder(name: str) -> None:
    out = views(0)
    for pair in (out.private, out.shared, out.reconstruction):
        for z in pair:
            z.requires_grad_()
    OBJECTIVES[name](out).backward()
    reached = next((getattr(out, half)[0] for half in ("private", "shared") if half in name), out.reconstruction[0])
    assert reached.grad is not None
    assert torch.isfinite(reached.grad).all()
    assert reached.grad.abs().sum() > 0


def test_pulling_private_halves_apart_lowers_eq_3() -> None:
    same, apart = views(0), views(0)
    same = TwoViews(same.target, same.reconstruction, (same.private[0], same.private[0]), same.shared)
    apart = TwoViews(apart.target, apart.reconstruction, (apart.private[0], -apart.private[0]), apart.shared)
    eq_3 = OBJECTIVES["cosine_private_sample"]
    assert eq_3(same) == pytest.approx(-np.log(FLOOR), rel=1e-2)
    assert eq_3(apart) == pytest.approx(0, abs=1e-3)
