"""Recipes: everything the science of one training run depends on, one frozen record a table row.

What the machine is (device, paths, workers) is no part of a recipe: only the recipe is hashed into a run's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

#: What a run is validated on, to keep its best epoch: sensors that it does not train on, or, where the objective knows
#: only the sensors it trains on, a tenth of their clips.
VALIDATION = ("sensors", "clips")
#: Fields that a recipe's digest leaves out where they have these values, which recipes had before there was a choice:
#: finished runs keep their names.
_SINCE = {"latent": None, "views": "same_sensor"}


@dataclass(frozen=True)
class Recipe:
    """One training run, but for its seed.

    Attributes:
        name: of the recipe.
        objectives: weight of each term of the total loss, by its name in `OBJECTIVES`.
        method: what is trained, a name in `METHODS`.
        views: which clips make a pair, a name in `training.data.views.VIEWS`.
        mask: the share of entries of z_private that the decoder does not see in training (the paper's "masking").
        temperature: of InfoNCE. The paper gives none.
        validation: one of `VALIDATION`.
        width, depth: hidden layers of encoder and decoder. The paper says only "MLP".
        latent: dimensions of the embedding, both halves together; None is those of a frame, as in the paper.
        pairs_per_clip: partners drawn for each clip. 3 gives the paper's numbers of pairs.
        crop: frames of each clip that a step sees, cut at random; None is all of them, as in the paper.
        epochs, batch_size, learning_rate: as in the paper, 100, 16 and 1e-3 (AdamW).
        published: (source Jaccard, sensor accuracy) of the row in the paper that this recipe is held against; None
            where the paper gives no number.
    """

    name: str
    objectives: Mapping[str, float]
    method: str = "multiview"
    views: str = "same_sensor"
    mask: float = 0.0
    temperature: float = 0.1
    validation: str = "sensors"
    width: int = 512
    depth: int = 2
    latent: int | None = None
    pairs_per_clip: int = 3
    crop: int | None = None
    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-3
    published: tuple[float | None, float | None] = field(default=(None, None), compare=False)

    def __post_init__(self) -> None:
        if self.validation not in VALIDATION:
            raise ValueError(
                f"recipe {self.name}: unknown validation {self.validation!r}: choose of {', '.join(VALIDATION)}"
            )
        if "sensor_entropy" in self.objectives and self.validation != "clips":
            raise ValueError(f"recipe {self.name}: a sensor that does not train has no class: validate on 'clips'")
        if not 0 <= self.mask < 1:
            raise ValueError(f"recipe {self.name}: mask {self.mask} is no share of entries: choose from 0 to below 1")
        object.__setattr__(self, "objectives", MappingProxyType(dict(self.objectives)))

    def check_names(self) -> None:
        """Raise ValueError where an objective, the method or the view rule is in no registry.

        Not asked when a recipe is made: the registries import torch, and the command line's help names the recipes.
        """
        from training.data.views import VIEWS
        from training.systems.multiview.methods import METHODS
        from training.systems.multiview.objectives import OBJECTIVES

        used: list[tuple[str, str, Mapping[str, object]]]
        used = [("method", self.method, METHODS), ("views", self.views, VIEWS)]
        used += [("objective", objective, OBJECTIVES) for objective in self.objectives]
        for what, value, known in used:
            if value not in known:
                raise ValueError(f"recipe {self.name}: unknown {what} {value!r}: choose of {', '.join(known)}")

    def as_dict(self) -> dict[str, object]:
        """All that the result depends on, as plain JSON values."""
        fields = {k: v for k, v in vars(self).items() if k != "published" and (k, v) not in _SINCE.items()}
        return {**fields, "objectives": dict(self.objectives)}

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that differ when anything does that the result depends on."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:8]


_RECONSTRUCTION = Recipe("multiview_rec", {"reconstruction": 1.0}, published=(0.610, 0.739))


def _with_cosine(name: str, source: float, sensor: float) -> Recipe:
    """Reconstruction and one cosine term, with the row's numbers in the paper's Table 2."""
    objectives = {**_RECONSTRUCTION.objectives, name: 1.0}
    return replace(_RECONSTRUCTION, name=f"multiview_{name}", objectives=objectives, published=(source, sensor))


def _with_mask(share: float, published: tuple[float | None, float | None] = (None, None)) -> Recipe:
    """Reconstruction with a share of z_private masked. The paper's Table 2 gives the numbers of the best share only."""
    return replace(_RECONSTRUCTION, name=f"multiview_mask_{share:g}", mask=share, published=published)


#: The recipe of the paper's row "multi-view" in Table 1, its best.
BEST = _with_cosine("cosine_private_sample", 0.633, 0.735)
_SHARED_BATCH = _with_cosine("cosine_shared_batch", 0.603, 0.728)
SINGLE_VIEW = Recipe("single_view", {"reconstruction": 1.0}, method="single_view", published=(0.582, 0.710))

#: The rows of the paper's Table 2: what is added to the reconstruction.
ABLATION = (
    _RECONSTRUCTION,
    BEST,
    _with_cosine("cosine_private_batch", 0.610, 0.737),
    _with_cosine("cosine_shared_sample", 0.593, 0.719),
    _SHARED_BATCH,
    _with_mask(0.2),
    _with_mask(0.4, (0.594, 0.733)),
    _with_mask(0.6),
    _with_mask(0.8),
)
#: The other trained rows of its Table 1.
BASELINES = (
    SINGLE_VIEW,
    Recipe("contrastive", {"info_nce": 1.0}, method="contrastive", published=(0.324, 0.392)),
    Recipe("supervised_source", {"source_entropy": 1.0}, method="supervised", published=(0.699, None)),
    Recipe(
        "supervised_sensor",
        {"sensor_entropy": 1.0},
        method="supervised",
        validation="clips",
        published=(None, 0.732),
    ),
)

#: The main row of the sibling system, *Self-supervised multi-view learning for disentangled music audio
#: representations* (arXiv 2411.02711). The latent's 8 dimensions and the terms are its own; of the rest see
#: docs/results.md.
MUSIC = Recipe(
    "music",
    {"reconstruction": 1.0, "mutual_information": 0.1, "total_correlation": 0.0, "dimension_wise_kl": 0.1},
    method="multiview_vae",
    views="same_timbre",
    validation="clips",
    width=256,
    latent=8,
    pairs_per_clip=1,
    crop=1,
    epochs=20,
    batch_size=256,
)
#: What its ablation sets α, β and γ to, one at a time.
MUSIC_WEIGHTS = (0.0, 0.1, 0.5, 1.0)


def music_with(term: str, weight: float) -> Recipe:
    """`MUSIC` with another weight of one term; itself where the weight is its own."""
    if MUSIC.objectives[term] == weight:
        return MUSIC
    return replace(MUSIC, name=f"music_{term}_{weight:g}", objectives={**MUSIC.objectives, term: weight})


#: By term, the weights in rising order.
MUSIC_ABLATION: dict[str, tuple[Recipe, ...]] = {
    term: tuple(music_with(term, weight) for weight in MUSIC_WEIGHTS)
    for term in ("mutual_information", "total_correlation", "dimension_wise_kl")
}


def small(recipe: Recipe) -> Recipe:
    """``recipe`` at a size that one core trains in half a minute: an MLP of half the width, a third of a second of each
    clip at a time, two partners a clip, few epochs."""
    return replace(recipe, width=256, epochs=12, crop=32, pairs_per_clip=2)


#: Every recipe by name. The last two are of sizes that two cores train in minutes, for the model in the package, and in
#: seconds, for `make demo`; neither is for a table. The one in the package is not the paper's best but the one that did
#: best on generated sensors (docs/results.md).
RECIPES: dict[str, Recipe] = {
    **{recipe.name: recipe for recipe in (*ABLATION, *BASELINES)},
    **{recipe.name: recipe for rows in MUSIC_ABLATION.values() for recipe in rows},
    "bundled": replace(_SHARED_BATCH, name="bundled", epochs=25, crop=128, published=(None, None)),
    "demo": replace(small(BEST), name="demo", published=(None, None)),
}


def recipe_named(name: str) -> Recipe:
    """The recipe ``name``.

    Raises:
        ValueError: there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
