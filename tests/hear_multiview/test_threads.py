"""Pieces of work on threads of their own."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from hear_multiview import threads


@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(number: int, count: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        found = threads.each(lambda i, scale: torch.tensor(i * scale), [(i, 10) for i in range(count)])
        assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(before)
    assert [int(each) for each in found] == [10 * i for i in range(count)]


@pytest.fixture
def two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_items_are_computed_side_by_side_each_on_one_thread(two_threads: None) -> None:
    meet = threading.Barrier(2, timeout=20)

    def work(_: int) -> Tensor:
        meet.wait()  # nobody comes here alone
        return torch.tensor(torch.get_num_threads())

    assert [int(each) for each in threads.each(work, [(0,), (1,)])] == [1, 1]
    started = []
    new = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert started == [2], "a thread that starts later has all of them"


def test_an_error_is_raised_and_the_threads_are_given_back(two_threads: None) -> None:
    def work(i: int) -> Tensor:
        raise ValueError(f"item {i}")

    with pytest.raises(ValueError, match="item 0"):
        threads.each(work, [(0,), (1,), (2,)])
    assert torch.get_num_threads() == 2
