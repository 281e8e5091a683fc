"""Objectives of the paper (arXiv 2510.02500), equation by equation; reconstruction and InfoNCE are the core's.

The paper takes logarithms of cosines. A cosine lies in [−1, 1], so log sim is undefined for sim ≤ 0 and log(1 − sim) is
infinite at 1. We map sim to (1 + cos) / 2, which lies in [0, 1], and keep it `EPS` away from the ends, so that values
and gradients are finite everywhere. The frames of two clips are not aligned in time, so each clip's frames are averaged
before the cosine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, cross_entropy

from training.objectives.contrastive import supervised_contrast
from training.systems.multiview.methods import AutoencoderOutput, ClassifierOutput, DesignedOutput

#: Keeps a similarity away from 0 and 1. At 1e-4 no term exceeds −log 1e-4 = 9.2, nor its slope 1e4.
EPS = 1e-4


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """sim(a, b) = (1 + cos(a, b)) / 2 over the last axis, within [`EPS`, 1 − `EPS`] without losing the slope.

    Shapes: [..., dim] and [..., dim] to [...].

    >>> one = torch.ones(1, 2)
    >>> [round(similarity(one, k * one).item(), 4) for k in (-1.0, 1.0)]
    [0.0001, 0.9999]
    """
    return EPS + (1 - 2 * EPS) * (1 + cosine_similarity(a, b, dim=-1)) / 2


def pooled(z: Tensor) -> Tensor:
    """The mean over frames: [pair, frame, dim] to [pair, dim]."""
    return z.mean(dim=1)


def cosine_shared_sample(out: AutoencoderOutput) -> Tensor:
    """Eq. 2: L_cos+ = −E_j log sim(z_s1^j, z_s2^j), which pulls the shared halves of a pair together."""
    shared_1, shared_2 = out.shared
    return -similarity(pooled(shared_1), pooled(shared_2)).log().mean()


def cosine_private_sample(out: AutoencoderOutput) -> Tensor:
    """Eq. 3: L_cos− = −E_j log(1 − sim(z_p1^j, z_p2^j)), which pushes the private halves of a pair apart."""
    private_1, private_2 = out.private
    return -(1 - similarity(pooled(private_1), pooled(private_2))).log().mean()


def cosine_shared_batch(out: AutoencoderOutput) -> Tensor:
    """Eq. 4: L_cos+ = −E_j log( exp sim(z_s1^j, z_s2^j) / Σ_k exp sim(z_s1^j, z_s2^k) ), over the pairs k of the batch.

    Nothing here needs sim to be positive, so it is the cosine itself; there is no temperature, as in the formula.
    """
    shared_1, shared_2 = (out.shard.all_gather(pooled(z)) for z in out.shared)
    logits = cosine_similarity(shared_1[:, None], shared_2[None], dim=-1)
    return cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def cosine_private_batch(out: AutoencoderOutput) -> Tensor:
    """Eq. 5: L_cos− = −E_{j,k} log(1 − sim(z_p1^j, z_p2^k)), over all j and k of the batch."""
    private_1, private_2 = (out.shard.all_gather(pooled(z)) for z in out.private)
    return -(1 - similarity(private_1[:, None], private_2[None])).log().mean()


def source_cross_entropy(out: ClassifierOutput) -> Tensor:
    """The supervised baseline for sources: binary cross-entropy, the mean over clips and classes."""
    return binary_cross_entropy_with_logits(out.source_logits, out.sources)


def sensor_cross_entropy(out: ClassifierOutput) -> Tensor:
    """The supervised baseline for sensors: cross-entropy over the training sensors, the mean over clips."""
    return cross_entropy(out.sensor_logits, out.sensor)


def scene_contrast(out: DesignedOutput) -> Tensor:
    """The private halves of one scene, heard by two sensors, against those of all other scenes, half of them heard by
    the same two sensors."""
    return supervised_contrast(out.private, out.scene, out.temperature)


def sensor_contrast(out: DesignedOutput) -> Tensor:
    """The shared halves of one sensor, which has heard two scenes, against those of all other sensors."""
    return supervised_contrast(out.shared, out.sensor, out.temperature)


OBJECTIVES: dict[str, Callable[[Any], Tensor]] = {
    "cosine_shared_sample": cosine_shared_sample,
    "cosine_private_sample": cosine_private_sample,
    "cosine_shared_batch": cosine_shared_batch,
    "cosine_private_batch": cosine_private_batch,
    "source_cross_entropy": source_cross_entropy,
    "sensor_cross_entropy": sensor_cross_entropy,
    "scene_contrast": scene_contrast,
    "sensor_contrast": sensor_contrast,
}
