"""Recipes of the paper's tables (arXiv 2510.02500), of the bundled model and of the demo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from training.recipes import Recipe

#: Hidden layers of encoder and decoder. The paper says only "MLP".
_MLP = {"width": 512, "depth": 2}
_RECONSTRUCTION = Recipe("multiview_rec", "multiview", {"reconstruction": 1.0}, _MLP)


def _with_cosine(name: str) -> Recipe:
    """Reconstruction and one cosine term."""
    objectives = {**_RECONSTRUCTION.objectives, name: 1.0}
    return replace(_RECONSTRUCTION, name=f"multiview_{name}", objectives=objectives)


def _with_mask(share: float) -> Recipe:
    """Reconstruction with a share of z_private masked."""
    return replace(_RECONSTRUCTION, name=f"multiview_mask_{share:g}", model={**_MLP, "mask": share})


#: "Multi-view" in the paper's Table 1, its best row.
BEST = _with_cosine("cosine_private_sample")
_SHARED_BATCH = _with_cosine("cosine_shared_batch")

#: The rows of the paper's Table 2: what is added to the reconstruction.
ABLATION = (
    _RECONSTRUCTION,
    BEST,
    _with_cosine("cosine_private_batch"),
    _with_cosine("cosine_shared_sample"),
    _SHARED_BATCH,
    *map(_with_mask, (0.2, 0.4, 0.6, 0.8)),
)
SINGLE_VIEW = Recipe("single_view", "single_view", {"reconstruction": 1.0}, _MLP)
#: The other trained rows of its Table 1. The sensor row validates on clips: a sensor that does not train has no class.
BASELINES = (
    SINGLE_VIEW,
    Recipe("contrastive", "contrastive", {"info_nce": 1.0}, {**_MLP, "temperature": 0.1}),
    Recipe("supervised_source", "supervised", {"source_cross_entropy": 1.0}, _MLP),
    Recipe("supervised_sensor", "supervised", {"sensor_cross_entropy": 1.0}, _MLP, validation="clips"),
)
#: All that the paper's tables are made of, by name.
PAPER_RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*ABLATION, *BASELINES)}


#: The model of ``load_model()``, on the front end ``log_mel``; a crop is of two seconds.
BUNDLED = Recipe(
    "bundled",
    "designed_pairs",
    {"scene_contrast": 1.0, "sensor_contrast": 1.0},
    {"private": 128, "shared": 384, "private_frames": 8, "shared_frames": 2, "window": 63, "width": 512},
    views="scenes_and_sensors",
    augmentations={"sensor": 6.0},
    examples_per_clip=1,
    crop=64,
    epochs=2,
    batch_size=16,
    schedule="cosine",
)


def small(recipe: Recipe) -> Recipe:
    """``recipe`` at a size that one core trains in half a minute: half the width, crops of a third of a second, two
    partners a clip, few epochs."""
    model: dict[str, Any] = {**recipe.model, "width": 256}
    return replace(recipe, model=model, epochs=12, crop=32, examples_per_clip=2)


#: The last two are for the model in the package and for `make demo`, not for a table. The bundled one is not a row of
#: the paper: on dry scenes and sensors that are drawn at random, it sees both kinds of pairs (docs/results.md).
RECIPES: dict[str, Recipe] = {
    **PAPER_RECIPES,
    "bundled": BUNDLED,
    "demo": replace(small(BEST), name="demo"),
}
