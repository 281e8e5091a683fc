"""Items made ahead: all of them, in order, one ahead and no more, and errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from training.data.prefetch import prefetch


def test_all_in_order_and_one_prefetch() -> None:
    made: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for k in range(4):
            made.append(k)
            if k == 2:
                third.set()
            yield k

    coming = prefetch(items())
    assert next(coming) == 0
    assert next(coming) == 1
    assert third.wait(10)  # made while 1 is still in use
    assert made == [0, 1, 2]
    assert list(coming) == [2, 3]


def test_nothing() -> None:
    assert list(prefetch([])) == []


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    coming = prefetch(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="the second"):
        next(coming)


@pytest.mark.parametrize("on", [True, False])
def test_items_are_made_in_the_grad_mode_of_who_asks(on: bool) -> None:
    items = (torch.is_grad_enabled() for _ in range(2))
    with torch.set_grad_enabled(on):
        assert list(prefetch(items)) == [on, on]
