"""Checks of arguments that several commands share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar


class Sized(Protocol):
    """The size of an experiment."""

    @property
    def seeds(self) -> int:
        """How many replications it has by default."""


Size = TypeVar("Size", bound=Sized)


def size_and_seeds(scales: Mapping[str, Size], scale: str, seeds: int | None) -> tuple[Size, int]:
    """The size of an experiment by its name, and the number of its replications; None is the size's own number.

    Raises:
        ValueError: an unknown scale, or fewer than one seed.
    """
    if scale not in scales:
        raise ValueError(f"unknown scale {scale!r}; choose {' or '.join(scales)}")
    size = scales[scale]
    count = size.seeds if seeds is None else seeds
    if count < 1:
        raise ValueError(f"{count} seeds give no results; use 1 or more")
    return size, count


def check_bounds(config: object, bounds: Iterable[tuple[str, float, float]]) -> None:
    """Check that numbers of a ``config`` are within their bounds: (attribute, lowest, highest), infinite for none.

    Raises:
        ValueError: one is not, or is NaN.
    """
    for name, low, high in bounds:
        if not low <= (value := getattr(config, name)) <= high:
            limits = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            raise ValueError(f"{name} is {value:g}; it must be {limits}")
