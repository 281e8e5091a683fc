"""The sounds that the separator is trained and judged on: takes of generated sources, and mixtures of them.

A *recording* is one or two sources. The network is trained on sums of two recordings and never sees a source alone
where the recording has two. It is judged on mixtures of two sources, in takes that it was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.sources import SOURCES, render
from training.systems.separated.separator import SAMPLE_RATE

#: Kinds of sources: every generated sound, and noise.
NOISE = "background"
KINDS = (*SOURCES, NOISE)
#: Level of a source relative to others, in dB, to either side.
LEVELS = 5.0
SEED = 5301  # that of no other part of the project


@dataclass(frozen=True)
class Bank:
    """Takes of every kind at an rms of 1: float16 [kind, take, sample]."""

    takes: Tensor


def bank(takes: int, seconds: float, seed: int) -> Bank:
    """``takes`` of every kind, of ``seconds`` each. Other seeds give other takes."""
    made = torch.empty((len(KINDS), takes, dsp.sample_count(seconds, SAMPLE_RATE)), dtype=torch.float16)
    places = [(kind, take) for kind in range(len(KINDS)) for take in range(takes)]
    for kind, take in tqdm(places, desc="sources", unit="take", leave=False):
        rng = np.random.default_rng((SEED, seed, kind, take))
        made[kind, take] = torch.from_numpy(dsp.normalize_rms(_take(KINDS[kind], rng, seconds)))
    return Bank(made)


def draw_sources(of: Bank, kinds: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """A crop of a take of each of ``kinds`` [...], at a level of its own: float32 [..., sample]."""
    _, takes, longest = of.takes.shape
    flat = kinds.flatten()
    take = torch.randint(takes, flat.shape, generator=generator).tolist()
    start = torch.randint(longest - samples + 1, flat.shape, generator=generator).tolist()
    gain = 10 ** (LEVELS * (2 * torch.rand(flat.shape, generator=generator) - 1) / 20)
    crops = [of.takes[k, t, s : s + samples] for k, t, s in zip(flat.tolist(), take, start, strict=True)]
    return (torch.stack(crops).float() * gain[:, None]).unflatten(0, kinds.shape)


def draw_kinds(count: int, each: int, generator: torch.Generator) -> Tensor:
    """``each`` different kinds for each of ``count`` mixtures, int64 [count, each]."""
    return torch.rand((count, len(KINDS)), generator=generator).argsort(1)[:, :each]


def mixtures_of_mixtures(of: Bank, count: int, samples: int, generator: torch.Generator) -> Tensor:
    """``count`` pairs of recordings, each of one or two sources, scaled so that their sum has an rms of 1:
    [count, 2, sample]."""
    kinds = draw_kinds(count, 4, generator).unflatten(1, (2, 2))  # four different ones
    both = torch.rand((count, 2), generator=generator) < 0.5
    present = torch.stack([torch.ones_like(both), both], dim=-1)
    pairs = (draw_sources(of, kinds, samples, generator) * present[..., None]).sum(2)
    return pairs / rms(pairs.sum(1))[:, None, None]


def rms(audio: Tensor) -> Tensor:
    """The root mean square over samples, [...] from [..., sample]."""
    return audio.square().mean(-1).sqrt().clamp_min(1e-8)


def _take(kind: str, rng: np.random.Generator, seconds: float) -> dsp.Wave:
    """A take [sample] of ``kind``."""
    if kind != NOISE:
        return render(kind, rng, seconds, SAMPLE_RATE)
    samples = dsp.sample_count(seconds, SAMPLE_RATE)
    octaves = np.log2(np.maximum(np.arange(1, samples // 2 + 2) / samples * SAMPLE_RATE, 100) / 100)
    return dsp.coloured(rng, 10 ** (-rng.uniform(0, 9) * octaves / 20), samples)
