"""What a method is: the model that a recipe trains, by name.

Each system registers its methods in a dictionary `METHODS`. A model is an ``nn.Module`` that takes a
`training.data.batches.Batch` and returns what its objectives look at. Its ``encoder`` is one of
`hear_multiview.encoders`, so that every method ends as the same kind of checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Method:
    """One entry of a registry of methods.

    Attributes:
        build: takes ``dim`` (of a front-end frame), ``sizes`` (classes by kind of label, and ``group``: how many
            train) and the recipe's ``model`` arguments by keyword; returns the model.
        disentangled: whether the encoder's parts mean something each; if not, only all of them together are served.
        paper: the arXiv number of the paper that describes it; empty for a method of our own.
        sound: what it is meant to embed, in words.
        meant: what each part is meant to capture, in words; empty where nothing is said of them.
    """

    build: Callable[..., nn.Module]
    disentangled: bool = False
    paper: str = ""
    sound: str = "sound"
    meant: Mapping[str, str] = field(default_factory=dict)

    def views(self, parts: Any) -> list[str]:
        """Views of the embedding that a checkpoint offers, for an encoder with ``parts``."""
        return ["joint", *(parts if self.disentangled else ()), "frontend"]
