"""What is freed is there again: after a few turns, large arrays that come and go ask the system for no new pages."""

from __future__ import annotations

import platform
from collections.abc import Callable

import pytest

CODE = """
import resource, torch
from training.allocator import keep_freed_memory
if {keep}:
    keep_freed_memory()
for turn in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [torch.ones(10_000_000) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to")
@pytest.mark.parametrize(("keep", "pages"), [(True, range(1_000)), (False, range(10_000, 1_000_000))])
def test_new_pages_of_the_last_turn(python: Callable[..., object], keep: bool, pages: range) -> None:
    done = python("-c", CODE.format(keep=keep))
    assert int(done.stdout) in pages  # type: ignore[attr-defined]
