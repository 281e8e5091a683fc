"""Augmentations: what is drawn anew for each view of each example when it is read.

What two views have in common decides what is learned. Every view has draws of its own, and those of a sensor that other
views may share. They depend on the seed of the epoch, the example and the view, and on nothing else: not on batch size,
workers or processes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.registry import entry


class Draws(NamedTuple):
    """Sources of random numbers: of this view alone, and of all views of the example that one sensor has heard."""

    own: torch.Generator
    sensor: torch.Generator


#: Takes frames float32 [frame, dim], a strength and sources of random numbers; returns frames of the same shape.
Augmentation = Callable[[Tensor, float, Draws], Tensor]
#: Knots of a random channel's response, over all dimensions of a frame.
KNOTS = 8
#: Of a background: how many dB its level may vary, and the standard deviation of its spectrum at the knots, 6 dB.
SNR_RANGE, SPECTRUM_STD = 30.0, 6 * math.log(10) / 10


def noise(frames: Tensor, strength: float, draws: Draws) -> Tensor:
    """``frames`` plus Gaussian noise of ``strength`` times their own standard deviation."""
    return frames + strength * frames.std() * torch.randn(frames.shape, generator=draws.own)


def channel(frames: Tensor, strength: float, draws: Draws) -> Tensor:
    """Log-spectral ``frames`` heard through another microphone: a smooth offset over the dimensions.

    ``strength`` is the standard deviation of the offset at its knots, in the unit of the frames (nepers of power for
    log-mel frames: 1 is 4.3 dB). Its mean, a gain, is drawn with it.
    """
    return frames + smooth(strength, frames.shape[1], draws.own)


def smooth(std: float, dim: int, generator: torch.Generator, knots: int = KNOTS) -> Tensor:
    """A smooth random curve [dim] with a standard deviation of ``std`` at its ``knots``."""
    at = std * torch.randn(1, 1, knots, generator=generator)
    return interpolate(at, dim, mode="linear", align_corners=True)[0, 0]


def background(frames: Tensor, strength: float, draws: Draws) -> Tensor:
    """Log-spectral ``frames`` with coloured noise in the background, added as power.

    The signal-to-noise ratio is drawn between ``strength`` and ``strength`` + 30 dB. The noise has a smooth spectrum of
    its own, 6 dB in standard deviation at the knots; its power in a frame and band is exponentially distributed, as
    that of Gaussian noise in one bin of a spectrum.
    """
    ratio = strength + SNR_RANGE * torch.rand((), generator=draws.own)
    level = frames.logsumexp(dim=(0, 1)) - math.log(frames.numel()) - ratio * math.log(10) / 10
    spectrum = smooth(SPECTRUM_STD, frames.shape[1], draws.own)
    power = torch.empty(frames.shape).exponential_(generator=draws.own)
    return torch.logaddexp(frames, level + spectrum + power.log())


#: Augmentations of the core.
AUGMENTATIONS: dict[str, Augmentation] = {"noise": noise, "channel": channel, "background": background}


def augmented(
    frames: Tensor, recipe: Mapping[str, float], seed: int, example: int, view: int, sensor: int | None = None
) -> Tensor:
    """``frames`` [frame, dim] through every augmentation of a ``recipe`` (name to strength), in its order.

    Args:
        sensor: the view whose sensor has heard these frames; None is the view itself.
    """
    for name, strength in recipe.items():
        kind = zlib.crc32(name.encode())
        own = _generator(seed, example, view, kind)
        draws = Draws(own, _generator(seed, example, view if sensor is None else sensor, kind, 1))
        frames = entry("augmentations", name)(frames, strength, draws)
    return frames


def _generator(*numbers: int) -> torch.Generator:
    draw = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(draw) >> 1)
