"""Augmentations: what is drawn anew for each view of each example when it is read.

What two views have in common decides what is learned, so every view has draws of its own. They depend on the seed of
the epoch, the example and the view, and on nothing else: not on batch size, workers or processes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.registry import entry

#: Takes frames float32 [frame, dim], a strength and a source of random numbers; returns frames of the same shape.
Augmentation = Callable[[Tensor, float, torch.Generator], Tensor]
#: Knots of a random channel's response, over all dimensions of a frame.
KNOTS = 8


def noise(frames: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """``frames`` plus Gaussian noise of ``strength`` times their own standard deviation."""
    return frames + strength * frames.std() * torch.randn(frames.shape, generator=generator)


def channel(frames: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Log-spectral ``frames`` heard through another microphone: a smooth offset over the dimensions.

    ``strength`` is the standard deviation of the offset at its knots, in the unit of the frames (nepers of power for
    log-mel frames: 1 is 4.3 dB). Its mean, a gain, is drawn with it.
    """
    knots = strength * torch.randn(1, 1, KNOTS, generator=generator)
    return frames + interpolate(knots, frames.shape[1], mode="linear", align_corners=True)[0]


#: Augmentations of the core.
AUGMENTATIONS: dict[str, Augmentation] = {"noise": noise, "channel": channel}


def augmented(frames: Tensor, recipe: Mapping[str, float], seed: int, example: int, view: int) -> Tensor:
    """``frames`` [frame, dim] through every augmentation of a ``recipe`` (name to strength), in its order."""
    for name, strength in recipe.items():
        draw = np.random.SeedSequence((seed, example, view, zlib.crc32(name.encode())))
        generator = torch.Generator().manual_seed(int(draw.generate_state(1, np.uint64)[0] >> 1))
        frames = entry("augmentations", name)(frames, strength, generator)
    return frames
