"""Every term against an independent float64 reference written from the formula, and its gradient at the edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.objectives.contrastive import ContrastiveOutput
from training.registry import registered
from training.systems.multiview.methods import AutoencoderOutput, ClassifierOutput, DesignedOutput
from training.systems.multiview.objectives import EPS, similarity
from training.systems.music.gaussians import Gaussian
from training.systems.music.methods import VAEOutput
from training.systems.sampling.objectives import OBJECTIVES as SAMPLING
from training.systems.separated.objectives import OBJECTIVES as SEPARATED

#: All but those of `training.systems.sampling` and `training.systems.separated`, which have tests like this one.
OBJECTIVES = {name: term for name, term in registered("objectives").items() if name not in {*SAMPLING, *SEPARATED}}
Output = AutoencoderOutput | ContrastiveOutput | ClassifierOutput | DesignedOutput | VAEOutput


def views(seed: int, pairs: int = 3, frames: int = 4, dim: int = 5) -> AutoencoderOutput:
    generator = torch.Generator().manual_seed(seed)

    def two(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        x_1, x_2 = torch.randn(2, pairs, frames, size, generator=generator)
        return x_1, x_2

    return AutoencoderOutput(target=two(2 * dim), reconstruction=two(2 * dim), private=two(dim), shared=two(dim))


def posteriors(seed: int, count: int) -> VAEOutput:
    """Three sets of ``count`` Gaussians in five dimensions."""
    generator = torch.Generator().manual_seed(seed)
    q = [Gaussian(*torch.randn(2, count, 5, generator=generator).unbind()) for _ in range(3)]
    same = (torch.zeros(1), torch.zeros(1))
    return VAEOutput(target=same, reconstruction=same, private=(q[0], q[1]), shared=q[2])


def output_for(name: str, seed: int, pairs: int = 3, frames: int = 4) -> Output:
    """What the method that ``name`` belongs to could return, at random."""
    generator = torch.Generator().manual_seed(seed)
    if name == "info_nce":
        z_1, z_2 = torch.randn(2, pairs, 5, generator=generator)
        return ContrastiveOutput((z_1, z_2), temperature=0.3)
    if name in ("scene_contrast", "sensor_contrast"):
        private, shared = torch.randn(2, 4 * pairs, 5, generator=generator)
        scene, sensor = (torch.randperm(4 * pairs, generator=generator) // 2 for _ in range(2))
        return DesignedOutput(private, shared, scene, sensor, temperature=0.3)
    if name in KL_TERMS:
        return posteriors(seed, pairs * frames)
    if name.endswith("_entropy"):
        return ClassifierOutput(
            source_logits=3 * torch.randn(2 * pairs, 8, generator=generator),
            sources=torch.randint(2, (2 * pairs, 8), generator=generator).float(),
            sensor_logits=3 * torch.randn(2 * pairs, 4, generator=generator),
            sensor=torch.randint(4, (2 * pairs,), generator=generator),
        )
    return views(seed, pairs, frames)


def reference_info_nce(out: ContrastiveOutput) -> float:
    """−E_j log( exp(cos_jj / τ) / Σ_k exp(cos_jk / τ) ), both ways."""
    z_1, z_2 = (z.double().numpy() for z in out.embedding)
    terms = []
    for a, b in ((z_1, z_2), (z_2, z_1)):
        for j in range(len(a)):
            cosines = np.array([a[j] @ c / np.sqrt((a[j] @ a[j]) * (c @ c)) for c in b])
            terms.append(-np.log(np.exp(cosines[j] / 0.3) / np.exp(cosines / 0.3).sum()))
    return float(np.mean(terms))


def reference_source_cross_entropy(out: ClassifierOutput) -> float:
    """−E[y log p + (1 − y) log(1 − p)] with p = 1 / (1 + e^−logit)."""
    y, p = out.sources.double().numpy(), 1 / (1 + np.exp(-out.source_logits.double().numpy()))
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def reference_sensor_cross_entropy(out: ClassifierOutput) -> float:
    """−E log p of the true sensor, with p the softmax of the logits."""
    p = np.exp(out.sensor_logits.double().numpy())
    p /= p.sum(1, keepdims=True)
    return float(-np.mean(np.log(p[np.arange(len(p)), out.sensor.numpy()])))


def reference_contrast(half: str, label: str) -> Callable[[DesignedOutput], float]:
    """The mean over i of −1/|P(i)| Σ_p log( exp(cos_ip / τ) / Σ_{k ≠ i} exp(cos_ik / τ) ), by loops."""

    def reference(out: DesignedOutput) -> float:
        z, labels = getattr(out, half).double().numpy(), getattr(out, label).numpy()
        values = []
        for i, a in enumerate(z):
            similar = [np.exp(a @ b / np.sqrt((a @ a) * (b @ b)) / 0.3) for b in z]
            everything = sum(s for k, s in enumerate(similar) if k != i)
            alike = [k for k in range(len(z)) if k != i and labels[k] == labels[i]]
            values.append(-np.mean([np.log(similar[k] / everything) for k in alike]))
        return float(np.mean(values))

    return reference


def reference_reconstruction(out: AutoencoderOutput) -> float:
    return sum(
        float(np.mean((x.double().numpy() - x_hat.double().numpy()) ** 2))
        for x, x_hat in zip(out.target, out.reconstruction, strict=True)
    )


def reference_similarity(a: np.ndarray, b: np.ndarray) -> float:
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    return EPS + (1 - 2 * EPS) * (1 + cosine) / 2


def means(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    z_1, z_2 = (z.double().numpy().mean(1) for z in pair)
    return z_1, z_2


def reference_cosine_private_sample(out: AutoencoderOutput) -> float:
    """−E_j log(1 − sim(z_p1^j, z_p2^j)) with each z the mean over its frames."""
    return float(np.mean([-np.log(1 - reference_similarity(a, b)) for a, b in zip(*means(out.private), strict=True)]))


def reference_cosine_shared_sample(out: AutoencoderOutput) -> float:
    """−E_j log sim(z_s1^j, z_s2^j)."""
    return float(np.mean([-np.log(reference_similarity(a, b)) for a, b in zip(*means(out.shared), strict=True)]))


def reference_cosine_shared_batch(out: AutoencoderOutput) -> float:
    """−E_j log( exp sim(z_s1^j, z_s2^j) / Σ_k exp sim(z_s1^j, z_s2^k) ), sim the cosine."""
    z_1, z_2 = means(out.shared)
    terms = []
    for j in range(len(z_1)):
        sims = [z_1[j] @ b / np.sqrt((z_1[j] @ z_1[j]) * (b @ b)) for b in z_2]
        terms.append(-np.log(np.exp(sims[j]) / np.sum(np.exp(sims))))
    return float(np.mean(terms))


def reference_cosine_private_batch(out: AutoencoderOutput) -> float:
    """−E_{j,k} log(1 − sim(z_p1^j, z_p2^k))."""
    z_1, z_2 = means(out.private)
    return float(np.mean([-np.log(1 - reference_similarity(a, b)) for a in z_1 for b in z_2]))


def reference_kl_term(name: str) -> Callable[[VAEOutput], float]:
    """From the drawn z: log q(z|x), log q(z) and log Π q(z_d) by loops, both views and 1.25 times the shared one."""

    def log_normal(z: float, mean: float, log_variance: float) -> float:
        return -((z - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi)) / 2

    def of_one(q: Gaussian) -> float:
        z, mean, log_variance = (x.double().numpy() for x in (q.sample, q.mean, q.log_variance))
        count, dim = z.shape
        values = []
        for i in range(count):
            each = np.array(
                [[log_normal(z[i, d], mean[j, d], log_variance[j, d]) for d in range(dim)] for j in range(count)]
            )
            own, joint = each[i].sum(), np.log(np.exp(each.sum(1)).mean())
            marginals = np.log(np.exp(each).mean(0)).sum()
            prior = sum(log_normal(x, 0, 0) for x in z[i])
            values.append(
                {
                    "mutual_information": own - joint,
                    "total_correlation": joint - marginals,
                    "dimension_wise_kl": marginals - prior,
                }[name]
            )
        return float(np.mean(values))

    return lambda out: of_one(out.private[0]) + of_one(out.private[1]) + 1.25 * of_one(out.shared)


KL_TERMS = ("mutual_information", "total_correlation", "dimension_wise_kl")
REFERENCES: dict[str, Callable[[Any], float]] = {
    "reconstruction": reference_reconstruction,
    "cosine_shared_sample": reference_cosine_shared_sample,
    "cosine_shared_batch": reference_cosine_shared_batch,
    "cosine_private_batch": reference_cosine_private_batch,
    "cosine_private_sample": reference_cosine_private_sample,
    **{name: reference_kl_term(name) for name in KL_TERMS},
    "info_nce": reference_info_nce,
    "scene_contrast": reference_contrast("private", "scene"),
    "sensor_contrast": reference_contrast("shared", "sensor"),
    "source_cross_entropy": reference_source_cross_entropy,
    "sensor_cross_entropy": reference_sensor_cross_entropy,
}


def test_every_objective_has_a_reference() -> None:
    assert REFERENCES.keys() == OBJECTIVES.keys()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(OBJECTIVES)), st.integers(0, 1000), st.integers(1, 4), st.integers(1, 5))
def test_against_the_formula(name: str, seed: int, pairs: int, frames: int) -> None:
    out = output_for(name, seed, pairs, frames)
    assert OBJECTIVES[name](out).item() == pytest.approx(REFERENCES[name](out), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("cosine", "expected"), [(-1.0, EPS), (0.0, 0.5), (1.0, 1 - EPS)])
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
    out = output_for(name, 0)
    if isinstance(out, AutoencoderOutput):
        reached = next((getattr(out, half)[0] for half in ("private", "shared") if half in name), out.reconstruction[0])
    elif isinstance(out, VAEOutput):
        reached = out.shared.mean
    elif isinstance(out, ContrastiveOutput):
        reached = out.embedding[0]
    elif isinstance(out, DesignedOutput):
        reached = out.private if name == "scene_contrast" else out.shared
    else:
        reached = out.source_logits if name == "source_cross_entropy" else out.sensor_logits
    reached.requires_grad_()
    OBJECTIVES[name](out).backward()
    assert reached.grad is not None
    assert torch.isfinite(reached.grad).all()
    assert reached.grad.abs().sum() > 0


def test_pulling_private_halves_apart_lowers_eq_3() -> None:
    same, apart = views(0), views(0)
    same = AutoencoderOutput(same.target, same.reconstruction, (same.private[0], same.private[0]), same.shared)
    apart = AutoencoderOutput(apart.target, apart.reconstruction, (apart.private[0], -apart.private[0]), apart.shared)
    eq_3 = OBJECTIVES["cosine_private_sample"]
    assert eq_3(same) == pytest.approx(-np.log(EPS), rel=1e-2)
    assert eq_3(apart) == pytest.approx(0, abs=1e-3)
