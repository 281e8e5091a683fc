"""Memory is given out again once nothing refers to it, and never while something does."""

from __future__ import annotations

import torch

from training.data.buffers import Buffers


def test_what_is_held_is_left_alone_and_what_is_not_is_used_again() -> None:
    buffers = Buffers()
    first = buffers.empty((3, 4)).fill_(1)
    kept = first[1:]  # a part of it, as autograd may keep one
    second = buffers.empty((3, 4)).fill_(2)
    place = second.data_ptr()
    del first, second
    third = buffers.empty((2, 3)).fill_(3)
    assert third.data_ptr() == place
    assert buffers.empty((3, 4)).fill_(4).data_ptr() != kept.data_ptr()
    assert torch.equal(kept, torch.ones(2, 4))
    assert torch.equal(third, torch.full((2, 3), 3.0))


def test_memory_does_not_pile_up() -> None:
    buffers = Buffers()
    for size in (*range(1, 50), *range(50, 1, -1)):
        buffers.empty((size,))
    assert len(buffers._free) == 1
    assert buffers._free[0].size == 50


def test_the_gradient_of_what_was_given_out() -> None:
    buffers = Buffers()
    weight = torch.ones(2, 2, requires_grad=True)
    y = buffers.empty((1, 2)).fill_(3) @ weight  # which keeps what it was computed from
    other = buffers.empty((1, 2)).fill_(7)
    y.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.full((2, 2), 3.0))
    assert other.sum() == 14
