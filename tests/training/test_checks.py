"""The shared checks: what is within bounds passes, anything else is refused by its name and value."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from training.checks import check_bounds, size_and_seeds

SCALES = {"small": SimpleNamespace(seeds=3), "full": SimpleNamespace(seeds=5)}
BOUNDS = (("steps", 1, math.inf), ("rate", 0.1, 0.5))


def test_the_number_of_seeds_is_the_scale_s_own_or_the_given_one() -> None:
    assert size_and_seeds(SCALES, "full", None) == (SCALES["full"], 5)
    assert size_and_seeds(SCALES, "small", 1) == (SCALES["small"], 1)


@pytest.mark.parametrize(("scale", "seeds", "said"), [("huge", None, "'huge'.*small.*full"), ("small", 0, "0 seeds")])
def test_an_unknown_scale_and_no_seeds_are_refused(scale: str, seeds: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        size_and_seeds(SCALES, scale, seeds)


@pytest.mark.parametrize(("steps", "rate"), [(1, 0.1), (10**9, 0.5)])
def test_bounds_belong_to_what_they_bound(steps: int, rate: float) -> None:
    check_bounds(SimpleNamespace(steps=steps, rate=rate), BOUNDS)


@pytest.mark.parametrize(
    ("steps", "rate", "said"),
    [(0, 0.2, "steps is 0.*1"), (1, 0.6, "rate is 0.6.*0.1.*0.5"), (1, math.nan, "rate is nan")],
)
def test_a_number_out_of_bounds_is_named(steps: int, rate: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_bounds(SimpleNamespace(steps=steps, rate=rate), BOUNDS)
