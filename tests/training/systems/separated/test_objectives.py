"""Coincidence and similarity against float64 references, and what the heads make of a batch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.batches import Batch
from training.objectives.contrastive import info_nce
from training.systems.separated.methods import Coincidence, SeparatedEncoder, SeparatedOutput
from training.systems.separated.objectives import coincidence


def output(first: torch.Tensor, second: torch.Tensor, scale: float = 1.0, bias: float = 0.0) -> SeparatedOutput:
    """Both views at the objectives, as they are; a logit is a scaled product and a bias."""
    return SeparatedOutput((first, second), 0.2, (first, second), lambda a, b: scale * (a @ b.mT) + bias)


def drawn(seed: int, examples: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.random.default_rng(seed).normal(size=(2, examples, 6))
    return first, second


def tensors(seed: int, examples: int) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = drawn(seed, examples)
    return torch.from_numpy(first), torch.from_numpy(second)


def direct_coincidence(logits: np.ndarray) -> float:
    """The formula, pair by pair."""
    count, total = len(logits), 0.0
    for i in range(count):
        for j in range(count):
            p = 1 / (1 + math.exp(-logits[i, j]))
            total += math.log(p) if i == j else math.log(1 - p) / (count - 1)
    return -total / count


def direct_nt_xent(z_1: np.ndarray, z_2: np.ndarray, temperature: float) -> float:
    """Each example against the other view of all, in both directions, pair by pair."""
    total = 0.0
    for a, b in ((z_1, z_2), (z_2, z_1)):
        for i in range(len(a)):
            s = [np.dot(a[i], y) / np.linalg.norm(a[i]) / np.linalg.norm(y) / temperature for y in b]
            total -= s[i] - math.log(sum(map(math.exp, s)))
    return total / len(z_1) / 2


@pytest.mark.parametrize("examples", [2, 5])
def test_objectives_are_their_formulas(examples: int) -> None:
    first, second = drawn(examples, examples)
    out = output(torch.from_numpy(first), torch.from_numpy(second))
    assert coincidence(out).item() == pytest.approx(direct_coincidence(first @ second.T), rel=1e-9)
    assert info_nce(out).item() == pytest.approx(direct_nt_xent(first, second, 0.2), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), examples=st.integers(2, 8))
def test_order_of_examples_does_not_matter_and_halves_weigh_the_same(seed: int, examples: int) -> None:
    first, second = tensors(seed, examples)
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(seed))
    for objective in (coincidence, info_nce):
        torch.testing.assert_close(objective(output(first[order], second[order])), objective(output(first, second)))
    even = coincidence(output(first, second, scale=0))
    assert even.item() == pytest.approx(2 * math.log(2))
    # A logit c everywhere: −log p − log(1 − p), whatever the number of examples.
    c = 1.5
    constant = coincidence(output(first, second, scale=0, bias=c))
    assert constant.item() == pytest.approx(math.log1p(math.exp(-c)) + math.log1p(math.exp(c)))


class Gathered:
    """A batch in two processes: the rows of the other one are known."""

    def __init__(self, *whole: torch.Tensor) -> None:
        self.whole = iter(whole)

    def all_gather(self, z: torch.Tensor) -> torch.Tensor:
        """The rows of both processes."""
        whole = next(self.whole)
        assert torch.equal(whole[: len(z)], z)
        return whole


def test_pairs_are_those_of_all_processes() -> None:
    first, second = tensors(0, 6)
    for objective in (coincidence, info_nce):
        part = replace(output(first[:3], second[:3]), shard=Gathered(first, second))  # type: ignore[arg-type]
        assert objective(part) == objective(output(first, second))


def test_one_example_and_large_logits_are_finite() -> None:
    one, other = tensors(0, 1)
    assert torch.isfinite(coincidence(output(one, other)))
    assert torch.isfinite(coincidence(output(1e4 * one, 1e4 * other)))


def test_the_head_sees_the_pair_and_is_that_of_the_concatenation() -> None:
    torch.manual_seed(0)
    head = Coincidence(6, 16).double()
    a, b = tensors(0, 3)
    weight = torch.cat([head.first.weight, head.second.weight], 1)
    for i in range(3):
        for j in range(3):
            hidden = torch.relu(weight @ torch.cat([a[i], b[j]]) + head.first.bias)
            torch.testing.assert_close(head(a, b)[i, j], (head.output.weight @ hidden + head.output.bias)[0])


def test_both_objectives_learn_to_tell_which_views_belong_together() -> None:
    torch.manual_seed(0)
    model = SeparatedEncoder(16, projection=8, width=16, channels=[4, 4], strides=[2, 2], latent=16)
    own = torch.randn(8, 1, 16)
    batch = Batch(tuple(own + 0.1 * torch.randn(8, 8, 16) for _ in range(2)), {})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def terms() -> list[torch.Tensor]:
        out = model(batch)
        return [coincidence(out), info_nce(out)]

    before = [term.item() for term in terms()]
    for _ in range(60):
        optimizer.zero_grad()
        sum(terms()).backward()  # type: ignore[union-attr]
        optimizer.step()
    for first, last in zip(before, terms(), strict=True):
        assert last.item() < first / 2
    assert all(parameter.grad is not None for parameter in model.parameters())
