"""Recipes of the separated system (arXiv 2105.02132): which views, of which states of the separator, which objectives.

The objectives are the paper's. Weights, sizes and augmentation are ours, the sampling system's where they are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from training.recipes import Recipe

#: Channels of the separator that the renditions are of, and its states.
CHANNELS, STATES = 4, ("early", "middle", "late")


def renditions(states: Sequence[str]) -> tuple[str, ...]:
    """The original, and every channel of each of the ``states``.

    >>> renditions(["middle"])[:2]
    ('original', 'separated(1,0)')
    """
    channels = [f"separated({STATES.index(state)},{channel})" for state in states for channel in range(CHANNELS)]
    return ("original", *channels)


#: The baseline: two crops of the mixture.
MIXTURE = Recipe(
    "separated_mixture",
    "separated",
    {"info_nce": 1.0, "coincidence": 1.0},
    {"channels": [16, 32, 64, 128], "strides": [2, 2, 2, 1], "latent": 256, "frequency": "flatten"},
    views="two_crops",
    augmentations={"channel": 1.0},
    validation="clips",
    examples_per_clip=1,
    crop=96,
    epochs=40,
    batch_size=64,
)


def _of(name: str, states: Sequence[str], **changes: object) -> Recipe:
    """`MIXTURE` with a channel of one of the ``states`` as the second view."""
    views = {"views": "mixture_and_channel", "renditions": renditions(states)}
    return replace(MIXTURE, name=f"separated_{name}", **{**views, **changes})  # type: ignore[arg-type]


ALL = _of("all", STATES)
#: Each state alone, and all of them as one augmentation.
CONVERGENCE = (*(_of(state, [state]) for state in STATES), ALL)
#: All states with either objective alone, and with channels as both views.
VARIANTS = (
    _of("all_similarity", STATES, objectives={"info_nce": 1.0}),
    _of("all_coincidence", STATES, objectives={"coincidence": 1.0}),
    _of("all_channels", STATES, views="channel_and_channel"),
)
#: Two systems meet: the multi-view autoencoder (arXiv 2510.02500) on a stretch of the mixture and the same stretch of a
#: channel, instead of two clips of a sensor. Its halves are fused frame by frame, so that both views are of one time.
MULTIVIEW = Recipe(
    "separated_multiview",
    "multiview",
    {"reconstruction": 1.0, "cosine_shared_batch": 1.0},
    {"width": 256, "depth": 2},
    views="renditions",
    renditions=renditions(STATES),
    validation="clips",
    examples_per_clip=1,
    crop=96,
    epochs=40,
    batch_size=64,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (MIXTURE, *CONVERGENCE, *VARIANTS, MULTIVIEW)}
