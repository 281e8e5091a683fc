"""How well a separator separates: mixtures of two sources that it was not trained on, and single sources.

SI-SNR (Le Roux et al. 2019, arXiv 1811.02508) of an estimate e of a source s is 10 log10(‖α s‖² / ‖α s − e‖²) with
α = ⟨e, s⟩ / ‖s‖²: it does not depend on the level of either. An improvement is over the mixture as the estimate.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from training.systems.separated.mixit import assignments
from training.systems.separated.mixtures import Bank, draw_kinds, draw_sources, rms
from training.systems.separated.separator import AUDIBLE, Separator

#: Window and hop of the ideal mask, in samples.
IDEAL_N_FFT = 1024
#: Keep logarithms finite: a silent estimate is far below any other, a perfect one far above.
_SILENT, _EPS = 1e-30, 1e-12


@dataclass(frozen=True)
class Separation:
    """How well a separator does, each a mean over mixtures, in dB but for the counts.

    Attributes:
        best_pair: improvement in SI-SNR by the two outputs that are best together, one for each source.
        remixed: the same where every output may be given to either source, by an oracle that knows them.
        ideal: the same for the ideal ratio mask |S_1| / (|S_1| + |S_2|), what masks can do at all.
        single: SI-SNR of the best output where the mixture is a single source, the median: whether it stays whole.
        audible, audible_single: outputs that are less than 20 dB under the mixture, of two sources and of a single
            one. More than there are sources is over-separation.
    """

    best_pair: float
    remixed: float
    ideal: float
    single: float
    audible: float
    audible_single: float


def si_snr(estimate: Tensor, source: Tensor) -> Tensor:
    """SI-SNR in dB over the last axis, [...] from [..., sample] and [..., sample], which are broadcast.

    >>> source = torch.tensor([3.0, 4.0]).double()
    >>> round(si_snr(torch.tensor([6.0, 3.0]).double(), source).item(), 3)  # ⟨e, s⟩² = 30², ‖e‖² ‖s‖² = 45 · 25
    6.021
    """
    e, s = estimate.double(), source.double()
    squared = (e * s).sum(-1).square()
    rest = (e.square().sum(-1) * s.square().sum(-1) - squared).clamp_min(0)
    return 10 * torch.log10((squared + _SILENT) / (rest + _EPS))


def best_pair(sources: Tensor, estimates: Tensor) -> Tensor:
    """The best mean SI-SNR that two different outputs have, one for each source: [clip] from [clip, 2, sample] and
    [clip, output, sample]."""
    every = si_snr(estimates[:, None], sources[:, :, None])  # [clip, source, output]
    pairs = list(itertools.permutations(range(estimates.shape[1]), 2))
    return torch.stack([(every[:, 0, i] + every[:, 1, j]) / 2 for i, j in pairs]).amax(0)


def remixed(sources: Tensor, estimates: Tensor) -> Tensor:
    """As `best_pair`, where every output goes to the one or to the other source: the best of all ways."""
    ways = assignments(estimates.shape[1]).to(estimates)
    return torch.stack([si_snr(a @ estimates, sources).mean(1) for a in ways]).amax(0)


def ideal_ratio_mask(sources: Tensor) -> Tensor:
    """The mixture of ``sources`` [clip, 2, sample] separated by the ratios of their magnitudes, of the same shape."""
    window = torch.hann_window(IDEAL_N_FFT, dtype=sources.dtype).sqrt()

    def transform(x: Tensor) -> Tensor:
        return torch.stft(x, IDEAL_N_FFT, window=window, hop_length=IDEAL_N_FFT // 2, return_complex=True)

    magnitudes = transform(sources.flatten(0, 1)).abs().unflatten(0, sources.shape[:2])
    masks = magnitudes / magnitudes.sum(1, keepdim=True).clamp_min(_EPS)
    masked = (masks * transform(sources.sum(1))[:, None]).flatten(0, 1)
    back = torch.istft(masked, IDEAL_N_FFT, window=window, hop_length=IDEAL_N_FFT // 2, length=sources.shape[2])
    return back.unflatten(0, sources.shape[:2])


def evaluate(separator: Separator, of: Bank, mixtures: int, seconds: float, seed: int = 0) -> Separation:
    """Judge ``separator`` on so many ``mixtures`` of two sources, and on as many single sources, from the bank."""
    generator = torch.Generator().manual_seed(seed)
    samples = round(seconds * separator.sample_rate)
    found: list[Tensor] = []
    for part in draw_kinds(mixtures, 2, generator).split(16):  # so many at a time, to bound the memory
        pair = draw_sources(of, part, samples, generator)
        mixture, single = pair.sum(1), pair[:, 0]
        estimates, of_single = separator.separate(mixture), separator.separate(single)
        before = si_snr(mixture[:, None], pair).mean(1)
        found.append(
            torch.stack(
                [
                    best_pair(pair, estimates) - before,
                    remixed(pair, estimates) - before,
                    si_snr(ideal_ratio_mask(pair), pair).mean(1) - before,
                    si_snr(of_single, single[:, None]).amax(1),
                    audible(estimates, mixture).sum(1),
                    audible(of_single, single).sum(1),
                ]
            )
        )
    every = torch.cat(found, dim=1)
    means = every.mean(1).tolist()
    means[3] = every[3].median().item()
    return Separation(*means)


def audible(estimates: Tensor, mixture: Tensor) -> Tensor:
    """Which ``estimates`` [clip, output, sample] are less than 20 dB under the ``mixture`` [clip, sample], bool
    [clip, output]."""
    return rms(estimates) > AUDIBLE * rms(mixture)[:, None]
