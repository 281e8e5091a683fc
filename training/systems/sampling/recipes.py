"""Recipes of the sampling system (arXiv 2505.18984): each strategy added to the clip's, by either similarity.

The terms are the paper's. Weights and sizes are ours: with those of the authors' code (0.01 each) the terms that are
added change nothing at this size. Ours were tried on 480 generated clips of 4 s with one seed: on those held out, the
pitch term falls from 0.57 to 0.29, and the frame term from 2.5 (one of 12 by chance) to 1.3.
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
    epochs=30,
    batch_size=128,
)
_SHIFTED = replace(CLIP, views="crops_and_shifted", renditions=("original", *(f"pitch({s})" for s in SHIFTS)))


def _with(name: str, weights: Mapping[str, float], **model: Any) -> Recipe:
    """`CLIP` and more terms of the loss, on crops with a shifted one."""
    objectives = {**CLIP.objectives, **weights}
    return replace(_SHIFTED, name=f"sampling_{name}", objectives=objectives, model={**CLIP.model, **model})


_FRAME, _PITCH = {"frame_contrast": 1.0}, {"pitch_regression": 5.0}
#: The rows of the paper's ablation: clip only, with frames, with pitch, with both.
ABLATION = (
    CLIP,
    _with("clip_frame", _FRAME, frame_positive="copy"),
    _with("clip_pitch", _PITCH),
    _with("all", {**_FRAME, **_PITCH}, frame_positive="copy"),
)
#: The same, compared by cosine.
COSINE = tuple(
    replace(recipe, name=f"{recipe.name}_cosine", model={**recipe.model, "similarity": "cosine"}) for recipe in ABLATION
)
#: What both crops are heard through is the same here, so that it may be learned.
PLAIN = replace(CLIP, name="sampling_clip_plain", augmentations={})

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*ABLATION, *COSINE, PLAIN)}
