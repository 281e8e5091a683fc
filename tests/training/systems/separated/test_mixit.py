"""Mixture-invariant training: the loss by Gram matrices is that of the direct sums over every assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.systems.separated.mixit import FLOOR, assignments, mixit, remix_errors, sparsity


def direct(mixtures: np.ndarray, sources: np.ndarray) -> float:
    """The loss of one example by the formula, in float64: every remix is made and compared."""
    losses = []
    for to_first in itertools.product((False, True), repeat=len(sources)):
        chosen = np.array(to_first)
        total = 0.0
        for recording, own in zip(mixtures, (chosen, ~chosen), strict=True):
            remix = sources[own].sum(0)
            power = np.sum(recording**2)
            total += 10 * np.log10((np.sum((recording - remix) ** 2) + FLOOR * power) / power) / 2
        losses.append(total)
    return min(losses)


def drawn(seed: int, sources: int, near: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two recordings of 4 examples, and sources that sum to nearly both, or to nothing in particular."""
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(4, sources, 500)) * 10 ** rng.uniform(-1, 1, (4, sources, 1))
    if not near:
        return rng.normal(size=(4, 2, 500)), s
    own = rng.random((4, sources)) < 0.5
    x = np.stack([(s * own[..., None]).sum(1), (s * ~own[..., None]).sum(1)], 1)
    return x + 0.02 * rng.normal(size=x.shape), s


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("sources", [1, 2, 4, 8])
def test_the_loss_is_that_of_the_direct_sums(sources: int, near: bool) -> None:
    mixtures, found = drawn(sources, sources, near)
    if near:  # a recording without a source has no power to compare with
        mixtures = mixtures + 0.1
    wanted = [direct(x, s) for x, s in zip(mixtures, found, strict=True)]
    exact = mixit(torch.from_numpy(mixtures), torch.from_numpy(found))
    np.testing.assert_allclose(exact, wanted, atol=1e-6)
    # In float32, Gram matrices lose about 2^-24 · 8² of the power, 4e-6, of a floor of 1e-3: 0.02 dB at the very worst.
    single = mixit(torch.from_numpy(mixtures).float(), torch.from_numpy(found).float())
    np.testing.assert_allclose(single, wanted, atol=0.02)


def test_gradients_are_those_of_the_direct_sum() -> None:
    mixtures, found = (torch.from_numpy(x).requires_grad_() for x in drawn(3, 3, near=False))
    a = assignments(3).double()
    remixes = torch.einsum("arm,bmn->barn", a, found)
    power = mixtures.square().sum(-1)[:, None]
    errors = (mixtures[:, None] - remixes).square().sum(-1)
    loss = (10 * torch.log10((errors + FLOOR * power) / power)).mean(-1).amin(1).sum()
    wanted = torch.autograd.grad(loss, [mixtures, found])
    for ours, other in zip(torch.autograd.grad(mixit(mixtures, found).sum(), [mixtures, found]), wanted, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-8)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), sources=st.integers(1, 5), level=st.floats(0.01, 100))
def test_order_and_level_do_not_matter(seed: int, sources: int, level: float) -> None:
    mixtures, found = (torch.from_numpy(x) for x in drawn(seed, sources, near=False))
    loss = mixit(mixtures, found)
    order = torch.randperm(sources, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(mixit(mixtures.flip(1), found[:, order]), loss)
    torch.testing.assert_close(mixit(level * mixtures, level * found), loss, rtol=1e-4, atol=1e-4)


def test_a_perfect_separation_is_at_the_floor_and_silence_is_finite() -> None:
    sources = torch.from_numpy(drawn(0, 4, near=False)[1])
    mixtures = torch.stack([sources[:, [0, 2]].sum(1), sources[:, [1, 3]].sum(1)], 1)
    torch.testing.assert_close(mixit(mixtures, sources), torch.full((4,), -30.0).double(), atol=1e-3, rtol=0)
    silent = torch.zeros(1, 2, 100), torch.zeros(1, 3, 100, requires_grad=True)
    loss = mixit(*silent)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(torch.autograd.grad(loss.sum(), [silent[1]])[0]).all()


def test_errors_of_every_assignment_are_in_its_order() -> None:
    mixtures, found = (torch.from_numpy(x) for x in drawn(1, 3, near=False))
    errors = remix_errors(mixtures, found)
    for k, (first, second) in enumerate(assignments(3).double()):
        for recording, own in enumerate((first, second)):
            wanted = (mixtures[:, recording] - own @ found).square().sum(-1)
            torch.testing.assert_close(errors[:, k, recording], wanted)
    assert torch.equal(assignments(3).sum(1), torch.ones(8, 3))


def test_sparsity_is_least_where_one_source_has_everything() -> None:
    sources = np.random.default_rng(0).normal(size=(2, 4, 300))
    levels = np.sqrt((sources**2).mean(-1))
    wanted = levels.sum(-1) / np.sqrt((levels**2).sum(-1))
    np.testing.assert_allclose(sparsity(torch.from_numpy(sources)), wanted, rtol=1e-6)
    one = torch.from_numpy(sources * np.array([1, 0, 0, 0])[:, None]).requires_grad_()
    value = sparsity(one)
    assert value.max().item() == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(torch.autograd.grad(value.sum(), [one])[0]).all()
    assert sparsity(torch.ones(1, 4, 10)).item() == pytest.approx(2)
