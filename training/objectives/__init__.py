"""Objectives of the core: terms that more than one system uses, one file a family.

An objective takes what a method returns and gives one unweighted scalar. A term that compares the examples of a batch
gathers them with `BatchShard.all_gather`, since each of several processes holds a part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from training.objectives.contrastive import info_nce
from training.objectives.reconstruction import reconstruction

OBJECTIVES: dict[str, Callable[[Any], Tensor]] = {"reconstruction": reconstruction, "info_nce": info_nce}
