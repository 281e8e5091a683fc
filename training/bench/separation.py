"""Benchmark of the separated system: the loss of mixture-invariant training, and separating a clip."""

from __future__ import annotations

import itertools
import time
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from training.bench.interleaved import Comparison, Repeat, measure_interleaved
from training.bench.row import Row

SAMPLE_RATE = 16_000


def separation_rows(
    sources: int = 8, batch: int = 8, seconds: float = 3.0, clip: float = 10.0, repeats: int = 3
) -> list[Row]:
    """Measure the loss, forward and backward, and the separation of a clip by the untrained default network.

    Args:
        sources: M, how many the loss has to divide among two recordings.
        batch: mixtures of mixtures.
        seconds: length of each.
        clip: length of the separated clip in seconds.
        repeats: number of measurements; the median is reported.

    Returns:
        A row for the loss compared with direct sums over all 2^M assignments, one for the same compared with
        asteroid's where that is installed, and one for the separation.
    """
    size = {"sources": sources, "batch": batch, "seconds": seconds}
    others: list[tuple[str, int, Comparison]] = [("direct sums", 20, (direct, size))]
    if find_spec("asteroid"):
        others.append(("asteroid", 50, (asteroid, size)))
    contenders: list[Comparison] = [(ours, size), (separate, {"seconds": clip}), *(run for *_, run in others)]
    own, whole, *found = measure_interleaved(contenders, repeats)
    rows = []
    for (name, least, _), other in zip(others, found, strict=True):
        ratio, error = other["seconds"] / own["seconds"], abs(other["loss"] - own["loss"])
        rows.append(
            Row(
                f"MixIT with M = {sources}, {batch} x {seconds:g} s, forward and backward, CPU",
                f"{other['seconds']:.2f} s ({name})",
                f"{1000 * own['seconds']:.0f} ms, difference {error:.1e}",
                ratio,
                "",
                None,
                f"at least {least} x, difference at most 1e-5",
                ratio >= least and error <= 1e-5,
            )
        )
    speed = clip / whole["seconds"]
    rows.append(
        Row(
            f"separating {clip:g} s into 4 sources, CPU",
            "",
            f"{whole['seconds']:.2f} s, {speed:.0f} x real time",
            None,
            "",
            None,
            "at least 20 x real time",
            speed >= 20,
        )
    )
    return rows


def ours(sources: int, batch: int, seconds: float) -> Repeat:
    """Prepare measuring `mixit` on noise, without a floor, which asteroid has not.

    Returns:
        A `Repeat` giving the seconds, and the loss in dB.
    """
    from training.systems.separated.mixit import mixit

    mixtures, found = _noise(sources, batch, seconds)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        loss = mixit(mixtures, found, floor=0.0).mean()
        loss.backward()
        return {"seconds": time.perf_counter() - start, "loss": loss.item()}

    return repeat


def direct(sources: int, batch: int, seconds: float) -> Repeat:
    """Prepare measuring the same loss as it is written: every assignment's two remixes are made and compared.

    Returns:
        As `ours`.
    """
    mixtures, found = _noise(sources, batch, seconds)
    power = mixtures.square().sum(-1)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        losses = []
        for to_first in itertools.product((0.0, 1.0), repeat=sources):
            chosen = torch.tensor([to_first, [1 - part for part in to_first]])
            errors = (mixtures - chosen @ found).square().sum(-1)
            losses.append(10 * torch.log10(errors / power).mean(-1))
        loss = torch.stack(losses).amin(0).mean()
        loss.backward()
        return {"seconds": time.perf_counter() - start, "loss": loss.item()}

    return repeat


def asteroid(sources: int, batch: int, seconds: float) -> Repeat:
    """Prepare measuring asteroid's ``MixITLossWrapper``.

    Returns:
        As `ours`.
    """
    from asteroid.losses import MixITLossWrapper
    from asteroid.losses.sdr import MultiSrcNegSDR

    mixtures, found = _noise(sources, batch, seconds)
    wrapper = MixITLossWrapper(MultiSrcNegSDR("snr", zero_mean=False), generalized=True)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        loss = wrapper(found, mixtures)
        loss.backward()
        return {"seconds": time.perf_counter() - start, "loss": loss.item()}

    return repeat


def separate(seconds: float) -> Repeat:
    """Prepare measuring the separation of one clip of noise.

    Returns:
        A `Repeat` giving the seconds.
    """
    from training.systems.separated.separator import MaskSeparator

    separator, audio = MaskSeparator(), torch.randn(1, round(seconds * SAMPLE_RATE))

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        separator.separate(audio)
        return {"seconds": time.perf_counter() - start}

    return repeat


def _noise(sources: int, batch: int, seconds: float) -> tuple[Tensor, Tensor]:
    """Recordings [batch, 2, sample] and sources [batch, source, sample], the latter with a gradient."""
    generator = torch.Generator().manual_seed(0)
    samples = round(seconds * SAMPLE_RATE)
    mixtures = torch.randn(batch, 2, samples, generator=generator)
    return mixtures, torch.randn(batch, sources, samples, generator=generator).requires_grad_()
