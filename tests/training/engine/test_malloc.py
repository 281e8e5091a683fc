"""What is freed is there again: after a few turns, large arrays that come and go ask the system for no new pages."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable

import pytest

CODE = """
import resource, torch
from training.engine.malloc import tune_malloc
if {keep}:
    tune_malloc()
for turn in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [torch.ones(10_000_000) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to")
def test_few_new_pages_in_the_last_turn(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """How many they are without it depends on the system, whose pages have 4 kB to 2 MB."""
    # glibc as it is, whatever the Makefile sets
    plain = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    kept, given_back = (int(python("-c", CODE.format(keep=keep), **plain).stdout) for keep in (True, False))
    assert kept < given_back / 10
