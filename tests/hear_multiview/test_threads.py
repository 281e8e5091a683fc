"""Pieces of work on threads of their own, in the modes of the thread that hands them out."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

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
        found = threads.map_on_threads(lambda i, scale: torch.tensor(i * scale), [(i, 10) for i in range(count)])
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

    assert [int(each) for each in threads.map_on_threads(work, [(0,), (1,)])] == [1, 1]
    started = []
    new = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert started == [2], "a thread that starts later has all of them"


def test_a_thread_that_begins_while_others_compute_has_all_threads(two_threads: None) -> None:
    """torch has one number for all threads that have not computed yet: it must not be the one of the workers."""
    threads.workers(2)
    found: list[int] = []

    def work(_: int) -> Tensor:
        new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        new.start()
        new.join()
        return torch.zeros(())

    threads.map_on_threads(work, [(k,) for k in range(4)])
    assert found == [2] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_a_forked_process_gets_workers_of_its_own(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Of the workers, a fork has only the record."""
    code = """
import os, torch
from hear_multiview.threads import map_on_threads
torch.set_num_threads(2)
work = lambda i: torch.tensor(i)
map_on_threads(work, [(1,), (2,)])
if child := os.fork():
    raise SystemExit(os.waitpid(child, 0)[1])
print([int(each) for each in map_on_threads(work, [(3,), (4,)])])
"""
    done = python("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "[3, 4]"), done.stderr


def test_an_error_is_raised_and_the_threads_are_given_back(two_threads: None) -> None:
    def work(i: int) -> Tensor:
        raise ValueError(f"item {i}")

    with pytest.raises(ValueError, match="item 0"):
        threads.map_on_threads(work, [(0,), (1,), (2,)])
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    "modes",
    [
        [],
        [torch.no_grad()],
        [torch.inference_mode()],
        [torch.autocast("cpu", torch.bfloat16)],
        [torch.autocast("cpu", torch.float16), torch.no_grad()],
        [torch.inference_mode(), torch.enable_grad()],
    ],
    ids=["none", "no_grad", "inference_mode", "autocast", "autocast_float16_no_grad", "inference_mode_enable_grad"],
)
def test_work_on_threads_has_the_modes_of_here(two_threads: None, modes: list[AbstractContextManager]) -> None:
    def found() -> tuple[object, ...]:
        cast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), cast

    seen: dict[int, set[tuple[object, ...]]] = {}
    meet = threading.Barrier(2, timeout=20)

    def work(_: int) -> Tensor:
        meet.wait()
        seen.setdefault(threading.get_ident(), set()).add(found())
        return torch.zeros(())

    with ExitStack() as stack:
        for mode in modes:
            stack.enter_context(mode)
        here = found()
        threads.map_on_threads(work, [(k,) for k in range(4)])
    assert len(seen) == 2
    assert threading.get_ident() not in seen
    assert set.union(*seen.values()) == {here}
