"""Recipes of the sampling system (arXiv 2505.18984): each strategy added to the clip's, and what else was varied.

The terms are the paper's. Weights and sizes are ours, chosen on generated sounds that no reported task has (see
docs/results.md). `PUBLISHED` is as close to the authors' released configuration as this project comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from training.recipes import Recipe

#: Shifts in semitones of the third view. Those of the source are drawn from a ratio of 0.8 to one of 1.2.
SHIFTS = (-3, -1, 1, 3)
#: A crop of 0.96 s, as in the source, in frames of ``log_mel_16k``, the front end that these recipes are for.
CROP = 96

CLIP = Recipe(
    "sampling_clip",
    "sampling",
    {"clip_contrast": 1.0},
    {"channels": [16, 32, 64, 128], "strides": [2, 2, 2, 1], "latent": 256, "frequency": "flatten"},
    views="two_crops",
    augmentations={"channel": 1.0},
    validation="clips",
    examples_per_clip=1,
    crop=CROP,
    epochs=40,
    batch_size=64,
)
_RENDITIONS = ("original", *(f"pitch({s})" for s in SHIFTS))


def _model(name: str, base: Recipe = CLIP, **model: Any) -> Recipe:
    """``base`` with other arguments of the model."""
    return replace(base, name=f"sampling_{name}", model={**base.model, **model})


def _with(name: str, weights: Mapping[str, float], **model: Any) -> Recipe:
    """`CLIP` and more terms of the loss, on crops with a shifted one."""
    shifted = replace(CLIP, views="crops_and_shifted", renditions=_RENDITIONS)
    return _model(name, replace(shifted, objectives={**CLIP.objectives, **weights}), **model)


_FRAME, _PITCH = {"frame_contrast": 1.0}, {"pitch_regression": 5.0}
#: The rows of the paper's ablation: clip only, with frames, with pitch, with both.
ABLATION = (
    CLIP,
    _with("clip_frame", _FRAME, frame_positive="copy"),
    _with("clip_pitch", _PITCH),
    _with("all", {**_FRAME, **_PITCH}, frame_positive="copy"),
)
#: The first one with one thing changed: similarity, what frequency becomes, what is drawn anew for each view, and what
#: the other examples of a batch are.
VARIANTS = (
    _model("clip_cosine", similarity="cosine"),
    _model("clip_max", frequency="max"),
    replace(CLIP, name="sampling_clip_plain", augmentations={}),
    replace(CLIP, name="sampling_clip_noisy", augmentations={"channel": 1.84, "background": 0.0}),  # 8 dB
    replace(CLIP, name="sampling_clip_by_group", views="two_crops_by_group"),
)
#: The rest of the table's rows with cosines.
COSINE = tuple(
    _model(f"{recipe.name.removeprefix('sampling_')}_cosine", recipe, similarity="cosine") for recipe in ABLATION[1:]
)
#: The authors' encoder, weights, batch and learning rate. Batches hold 512 clips there, and 1024 by accumulation; it
#: trains for 4,000 steps on 18,943 clips of AudioSet. For a GPU: two cores take minutes for each step.
PUBLISHED = replace(
    _with("published", {"frame_contrast": 0.01, "pitch_regression": 0.01}),
    model={"encoder": "efficientnet_b0", "latent": 512, "frequency": "max", "projection": 512},
    renditions=(*_RENDITIONS, "noise(0.001)"),
    augmentations={},
    epochs=100,
    batch_size=512,
    learning_rate=1e-4,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*ABLATION, *VARIANTS, *COSINE, PUBLISHED)}
