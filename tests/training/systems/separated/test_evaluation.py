"""SI-SNR and what is made of it, against the formulas in float64 and against separators whose result is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from training.systems.separated.evaluation import best_pair, evaluate, ideal_ratio_mask, remixed, si_snr
from training.systems.separated.mixtures import KINDS, Bank, bank, draw_kinds, draw_sources, mixtures_of_mixtures


def reference(estimate: np.ndarray, source: np.ndarray) -> float:
    """SI-SNR by its definition: the part of the estimate along the source, over the rest."""
    along = np.dot(estimate, source) / np.dot(source, source) * source
    return float(10 * np.log10(np.sum(along**2) / np.sum((along - estimate) ** 2)))


def drawn(outputs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two sources and estimates that have something of them, [2, sample] and [output, sample]."""
    rng = np.random.default_rng(seed)
    sources = rng.normal(size=(2, 400))
    return sources, rng.normal(size=(outputs, 2)) @ sources + rng.normal(size=(outputs, 400))


def test_si_snr_is_the_formula_and_does_not_depend_on_level() -> None:
    (source, _), (estimate, *_) = drawn(1)
    wanted = reference(estimate, source)
    for level in (1e-3, 1.0, -20.0):
        found = si_snr(torch.from_numpy(level * estimate), torch.from_numpy(source)).item()
        assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("outputs", [2, 4, 5])
def test_best_pair_and_remix_are_the_best_of_all_ways(outputs: int) -> None:
    sources, estimates = drawn(outputs, seed=outputs)
    pairs = [
        (reference(estimates[i], sources[0]) + reference(estimates[j], sources[1])) / 2
        for i, j in itertools.permutations(range(outputs), 2)
    ]
    mixes = []
    for own in itertools.product((0, 1), repeat=outputs):
        sums = [estimates[np.array(own) == k].sum(0) for k in (0, 1)]
        if all(np.any(x) for x in sums):
            mixes.append(np.mean([reference(x, s) for x, s in zip(sums, sources, strict=True)]))
    given = torch.from_numpy(sources)[None], torch.from_numpy(estimates)[None]
    assert best_pair(*given).item() == pytest.approx(max(pairs), abs=1e-6)
    assert remixed(*given).item() == pytest.approx(max(mixes), abs=1e-6)


def test_an_ideal_mask_separates_what_does_not_overlap() -> None:
    times = torch.arange(16_000) / 16_000
    tones = torch.stack([torch.sin(2 * torch.pi * f * times) for f in (500.0, 3000.0)])[None]
    found = ideal_ratio_mask(tones)
    torch.testing.assert_close(found.sum(1), tones.sum(1), atol=1e-4, rtol=0)
    assert si_snr(found, tones).min() > 25


@pytest.fixture(scope="module")
def takes() -> Bank:
    return bank(2, 1.0, 1)


class Oracle:
    """Gives the sources of the mixtures that `evaluate` draws: two parts of each source, or all in one, and silence."""

    sample_rate, sources = 16_000, 4

    def __init__(self, of: Bank, mixtures: int, samples: int, halves: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        kinds = draw_kinds(mixtures, 2, generator)
        self.pair, self.halves = draw_sources(of, kinds, samples, generator), halves

    def separate(self, audio: torch.Tensor) -> torch.Tensor:
        """[clip, 4, sample] of the pairs, or of their first sources alone."""
        alone = torch.tensor([1.0, 0.0])[None, :, None]
        pair = self.pair if torch.allclose(audio, self.pair.sum(1)) else self.pair * alone
        torch.testing.assert_close(pair.sum(1), audio)
        parts = pair / 2 if self.halves else torch.zeros_like(pair)
        return torch.cat([pair - parts, parts], dim=1)


def test_evaluation_of_an_oracle_and_over_separation(takes: Bank) -> None:
    whole = evaluate(Oracle(takes, 6, 8000, halves=False), takes, 6, 0.5)
    assert min(whole.best_pair, whole.remixed, whole.single) > 60
    assert 1.5 < whole.audible <= 2  # the weaker source may be 20 dB down
    assert whole.audible_single == 1
    halved = evaluate(Oracle(takes, 6, 8000, halves=True), takes, 6, 0.5)
    assert (halved.audible, halved.audible_single) == (2 * whole.audible, 2)
    assert halved.ideal == whole.ideal
    assert 0 < halved.ideal < 60


def test_recordings_are_of_one_or_two_kinds_and_draws_are_those_of_the_seed(takes: Bank) -> None:
    assert takes.takes.shape == (len(KINDS), 2, 16_000)
    torch.testing.assert_close(takes.takes.float().square().mean(-1), torch.ones(len(KINDS), 2), rtol=0.01, atol=0)
    assert not torch.equal(takes.takes[0, 0], takes.takes[0, 1])
    assert not torch.equal(bank(1, 0.2, 0).takes, bank(1, 0.2, 1).takes)
    pairs = mixtures_of_mixtures(takes, 5, 4000, torch.Generator().manual_seed(3))
    assert torch.equal(pairs, mixtures_of_mixtures(takes, 5, 4000, torch.Generator().manual_seed(3)))
    assert pairs.shape == (5, 2, 4000)
    torch.testing.assert_close(pairs.sum(1).square().mean(-1), torch.ones(5))
    kinds = draw_kinds(200, 4, torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 4 for row in kinds.tolist())
    assert set(kinds.flatten().tolist()) == set(range(len(KINDS)))
