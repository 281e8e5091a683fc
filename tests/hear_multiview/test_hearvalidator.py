"""The official validator's own verdict, through both of its commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_the_validator_says_looks_good(python: Run, tmp_path: Path) -> None:
    done = python("-m", "hearvalidator.validate", "hear_multiview", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Looks good!")


def test_its_console_command_is_installed() -> None:
    assert (Path(sys.executable).parent / "hear-validator").exists()
