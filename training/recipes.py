"""Recipes: everything the science of one training run depends on, in one frozen record.

The machine (device, paths, workers) is not part of a recipe; only the recipe is hashed into a run's name. This module
imports no torch, since the help of the command line lists recipes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from training.data.records import ORIGINAL
from training.registry import entry, registered

#: What a run validates on, to keep its best epoch: groups that it does not train on, or, where the objective knows only
#: the groups that it trains on, a tenth of their clips.
VALIDATION = ("groups", "clips")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Recipe:
    """One training run but for its seed.

    Attributes:
        name: of the recipe, unique among all systems.
        method: what is trained, a name among the methods.
        objectives: weight of each term of the total loss, by its name among the objectives.
        model: arguments of the method, such as width and depth of its layers.
        views: which clips form an example, a name among the view samplers.
        renditions: what is extracted of each clip, the original among them; the view sampler chooses.
        augmentations: what is drawn anew for each view of each example, with its strength, by name.
        validation: one of `VALIDATION`.
        examples_per_clip: examples drawn for each clip. 3 pairs a clip give the multi-view paper's numbers of pairs.
        crop: frames of each view that a step sees, cut at random; None is all of them.
        epochs, batch_size, learning_rate: of AdamW.
        schedule: of the learning rate, ``constant``, or ``cosine``: from ``learning_rate`` to zero over the whole run.
    """

    name: str
    method: str
    objectives: Mapping[str, float]
    model: Mapping[str, Any] = field(default_factory=dict)
    views: str = "same_group"
    renditions: tuple[str, ...] = ("original",)
    augmentations: Mapping[str, float] = field(default_factory=dict)
    validation: str = "groups"
    examples_per_clip: int = 3
    crop: int | None = None
    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: str = "constant"

    def __post_init__(self) -> None:
        if self.validation not in VALIDATION:
            raise ValueError(
                f"recipe {self.name} has an unknown validation {self.validation!r}; choose {' or '.join(VALIDATION)}"
            )
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"recipe {self.name} has an unknown schedule {self.schedule!r}; choose {' or '.join(SCHEDULES)}"
            )
        for name in ("objectives", "model", "augmentations"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        if isinstance(self.renditions, str) or ORIGINAL not in self.renditions:
            raise ValueError(
                f"recipe {self.name} has renditions {self.renditions!r}; list {ORIGINAL!r} and those besides it"
            )
        object.__setattr__(self, "renditions", tuple(self.renditions))
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Raise ValueError where a number cannot be trained with."""
        if not self.objectives:
            raise ValueError(f"recipe {self.name} has no objectives; name one")
        for name in ("examples_per_clip", "crop", "epochs", "batch_size"):
            value = getattr(self, name)
            if (name, value) != ("crop", None) and (not isinstance(value, int) or value < 1):
                raise ValueError(f"recipe {self.name} has {name} {value!r}; give a whole number, 1 or more")
        numbers = {"learning_rate": self.learning_rate, **self.objectives, **self.augmentations}
        for name, value in numbers.items():
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"recipe {self.name} has {name} {value!r}; give a finite number")

    def check_names(self) -> None:
        """Raise ValueError where the recipe names something that is in no registry.

        Not checked when a recipe is made, because methods and objectives import torch.
        """
        used = [("methods", self.method), ("views", self.views)]
        used += [("objectives", name) for name in self.objectives]
        used += [("augmentations", name) for name in self.augmentations]
        for kind, name in used:
            try:
                entry(kind, name)
            except ValueError as error:
                raise ValueError(f"recipe {self.name}: {error}") from None

    def as_dict(self) -> dict[str, Any]:
        """All that the result depends on, as plain JSON values."""
        plain = {key: dict(value) if isinstance(value, Mapping) else value for key, value in vars(self).items()}
        if self.schedule == "constant":
            del plain["schedule"]  # recipes had none before version 0.5, and their digests must not change
        return {**plain, "renditions": list(self.renditions)}

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that change with anything that the result depends on."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:8]


def recipes() -> dict[str, Recipe]:
    """Every recipe of every system, by name."""
    return registered("recipes")


def recipe_named(name: str) -> Recipe:
    """The recipe ``name``.

    Raises:
        ValueError: there is none.
    """
    recipe: Recipe = entry("recipes", name)
    return recipe
