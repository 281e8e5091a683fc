"""The music system's main recipe and its ablation (arXiv 2411.02711).

The latent's 8 dimensions and the terms are the paper's; for the rest see docs/results.md.
"""

from __future__ import annotations

from dataclasses import replace

from training.recipes import Recipe

MUSIC = Recipe(
    "music",
    "multiview_vae",
    {"reconstruction": 1.0, "mutual_information": 0.1, "total_correlation": 0.0, "dimension_wise_kl": 0.1},
    {"width": 256, "depth": 2, "latent": 8},
    views="same_timbre",
    validation="clips",
    examples_per_clip=1,
    crop=1,
    epochs=20,
    batch_size=256,
)
#: What the ablation sets α, β and γ to, one at a time.
WEIGHTS = (0.0, 0.1, 0.5, 1.0)


def _with(term: str, weight: float) -> Recipe:
    """`MUSIC` with another weight of one term; itself where the weight is its own."""
    if MUSIC.objectives[term] == weight:
        return MUSIC
    return replace(MUSIC, name=f"music_{term}_{weight:g}", objectives={**MUSIC.objectives, term: weight})


#: By term, recipes by rising weight.
ABLATION: dict[str, tuple[Recipe, ...]] = {
    term: tuple(_with(term, weight) for weight in WEIGHTS)
    for term in ("mutual_information", "total_correlation", "dimension_wise_kl")
}
RECIPES: dict[str, Recipe] = {recipe.name: recipe for rows in ABLATION.values() for recipe in rows}
