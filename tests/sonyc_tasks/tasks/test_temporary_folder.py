from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sonyc_tasks import locks
from sonyc_tasks.files import sweep
from sonyc_tasks.tasks.temporary_folder import build_dir

#: Builds in a folder for ./tasks until it is killed.
BUILDER = """
import sys
from pathlib import Path
from sonyc_tasks.tasks.temporary_folder import build_dir
with build_dir(Path("tasks")) as work:
    (work / "half.wav").write_bytes(b"x")
    print(work, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_temporary_folder_is_beside_its_target_and_vanishes(tmp_path: Path) -> None:
    with build_dir(tmp_path / "deep" / "tasks") as work:
        assert names(work) == []
        assert work.parent.parent == tmp_path / "deep"
        (work / "new").mkdir()
        (work / "new").rename(tmp_path / "deep" / "tasks")
    assert names(tmp_path / "deep") == ["tasks"]
    with pytest.raises(KeyError), build_dir(tmp_path / "deep" / "tasks"):
        raise KeyError
    assert names(tmp_path / "deep") == ["tasks"]


def test_the_next_one_removes_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    kept = [tmp_path / ".tasks-in-progress", tmp_path / "tasks-in-progress-x"]
    for folder in kept:
        folder.mkdir()
    (tmp_path / ".tasks-in-progress-oldfolds").mkdir()  # of a version without locks
    (tmp_path / ".others-in-progress-oldfolds").mkdir()
    command = [sys.executable, "-c", BUILDER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    builders = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    try:
        killed, alive = (Path(builder.stdout.readline().strip()) for builder in builders)
        builders[0].send_signal(signal.SIGKILL)
        builders[0].wait()
        assert (killed / "half.wav").is_file()
        with build_dir(tmp_path / "tasks") as work:
            assert not killed.parent.exists()
            assert (alive / "half.wav").is_file()
            sweep(tmp_path)
            assert work.is_dir()
    finally:
        for builder in builders:
            builder.communicate()
    assert names(tmp_path) == sorted(folder.name for folder in kept)


def test_nothing_is_removed_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    (tmp_path / ".tasks-in-progress-others__").mkdir()
    with build_dir(tmp_path / "tasks") as work:
        assert work.is_dir()
    assert names(tmp_path) == [".tasks-in-progress-others__"]


def test_many_at_a_time_never_take_each_others_folder(tmp_path: Path) -> None:
    """Locks belong to open files, so threads stand for processes here."""
    pytest.importorskip("fcntl")
    lost = []

    def build() -> None:
        for _ in range(60):
            with build_dir(tmp_path / "tasks") as work:
                (work / "half").write_text("x")
                sweep(tmp_path)
                if not (work / "half").is_file():
                    lost.append(work)

    threads = [threading.Thread(target=build) for _ in range(6)]
    errors: list[object] = []
    hook, threading.excepthook = threading.excepthook, lambda failure: errors.append(failure.exc_value)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    assert (lost, errors) == ([], [])
    assert names(tmp_path) == []
