"""A seeded dozen of the faults that ``make faults`` brings about, of the quickest commands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks processes with libraries that only bear it there"
)
def test_quick_commands_survive_kills_full_disks_and_company(
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    quick = "^(synthesize|download|build|build again|latents|sounds)$"
    options = ("--kills", "2", "--full", "1", "--disks", "1", "--pairs", "1", "--seed", "1", "--only", quick)
    done = python("-m", "tests.faults", *options, cwd=ROOT, OMP_NUM_THREADS="1")
    counts = re.search(r"(\d+) kills, .* (\d+) pairs: (\d+) faults", done.stdout)
    assert counts, done.stdout + done.stderr
    assert counts.groups() == ("12", "6", "0"), done.stdout
    assert done.returncode == 0
