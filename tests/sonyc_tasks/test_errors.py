"""What the user reads about an error, and that it has a file's name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sonyc_tasks.dataset.audio import write_wav
from sonyc_tasks.errors import errors_named, exit_status, explained, first_line
from sonyc_tasks.files import held_folder


def test_the_first_line_of_an_error() -> None:
    given = (ValueError("a\nb"), ValueError(""), ValueError("It fails."), ValueError("x" * 300))
    assert [first_line(error) for error in given] == ["a", "ValueError", "It fails", "x" * 200]


def test_our_own_sentences_stay_as_they_are() -> None:
    assert explained(OSError("the disk of x is too small; make room")) == "the disk of x is too small; make room"
    assert explained(ValueError("x")) == "x"


def test_an_error_of_the_disk_without_a_name_gets_that_of_the_folder_that_is_held(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, held_folder(tmp_path / "store"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(tmp_path / "store") in explained(caught.value)


@pytest.mark.parametrize("filename", ["x.wav", "/data/x.wav"])
def test_an_error_that_has_a_name_keeps_it(tmp_path: Path, filename: str) -> None:
    with pytest.raises(PermissionError) as caught, errors_named(tmp_path):
        raise PermissionError(errno.EACCES, "no", filename)
    assert caught.value.filename == filename


def test_an_error_of_the_system_behind_one_of_zarr(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Read-only") as caught, errors_named(tmp_path):
        raise KeyError(".zarray") from OSError(errno.EROFS, os.strerror(errno.EROFS), "store/frames")
    assert caught.value.filename == "store/frames"
    with pytest.raises(KeyError), errors_named(tmp_path):
        raise KeyError("x")


def test_an_error_of_the_network_is_not_one_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError) as caught, errors_named(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    assert caught.value.filename is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a device that is always full, of Linux")
def test_a_sound_that_finds_the_disk_full_in_the_middle_says_so() -> None:
    with pytest.raises(OSError, match="No space") as caught:
        write_wav(Path("/dev/full"), np.zeros(48_000), 48_000)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")


def test_the_exit_status_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(error: BaseException) -> int:
        raise error

    assert [exit_status(lambda: 0), exit_status(lambda: None), exit_status(lambda: 3)] == [0, 0, 3]
    assert exit_status(lambda: fails(ValueError("x is odd; make it even"))) == 1
    assert exit_status(lambda: fails(ModuleNotFoundError("No module named 'x'"))) == 1
    assert exit_status(lambda: fails(BrokenPipeError(errno.EPIPE, "a worker has died"))) == 1
    assert exit_status(lambda: fails(KeyboardInterrupt())) == 130
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4
    assert "x is odd" in told[0]
    assert "pip install" in told[1]
    assert "a worker has died" in told[2]
    with pytest.raises(RuntimeError):
        exit_status(lambda: fails(RuntimeError("a fault of ours")))


def test_a_reader_that_has_gone_ends_a_command_quietly(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = """
import os, sys
from sonyc_tasks.errors import exit_status
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
sys.exit(exit_status(lambda: print("a line")))
"""
    done = python("-c", code)
    assert (done.returncode, done.stderr) == (1, "")
