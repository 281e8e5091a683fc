from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sonyc_tasks import files
from sonyc_tasks.errors import explained
from sonyc_tasks.files import (
    TEMPORARY,
    held_folder,
    is_empty,
    make_folder,
    read_json_object,
    replace_folder,
    replacing,
    sweep,
    sync_tree,
    write_atomic,
)
from sonyc_tasks.locks import LOCK, held
from sonyc_tasks.tasks.temporary_folder import build_dir

Python = Callable[..., subprocess.CompletedProcess[str]]

#: Writes a file until it is killed.
WRITER = """
import sys
from pathlib import Path
from sonyc_tasks.files import replacing
with replacing(Path("x.txt")) as part:
    part.write_text("half")
    print(part, flush=True)
    sys.stdin.read()
"""
#: Holds a folder until it is told to end.
HOLDER = """
import sys
from pathlib import Path
from sonyc_tasks.files import held_folder
with held_folder(Path("runs")):
    print("held", flush=True)
    sys.stdin.read()
"""


def start(code: str, place: Path) -> subprocess.Popen[str]:
    """A process that has begun: the first line of its output has been read into ``line``."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=place, **pipes)  # type: ignore[call-overload]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced, and what is renamed to what, in order."""
    seen: list[tuple[str, str]] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def name(file: int) -> str:
        return os.path.basename(os.readlink(f"/proc/self/fd/{file}"))

    def seen_sync(file: int) -> None:
        seen.append(("sync", name(file)))
        fsync(file)

    def seen_replace(one: Path, other: Path) -> None:
        replace(one, other)
        seen.append(("rename", os.path.basename(other)))

    def seen_rename(one: Path, other: Path) -> None:
        rename(one, other)
        seen.append(("rename", os.path.basename(other)))

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(os, "replace", seen_replace)
    monkeypatch.setattr(os, "rename", seen_rename)
    return seen


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    with replacing(path) as part:
        assert (part.suffix, part.parent) == (".txt", path.parent)
        part.write_text("three")
    with pytest.raises(IsADirectoryError), replacing(path) as part:
        path.parent.read_text()
    assert path.read_text() == "three"
    assert list(path.parent.iterdir()) == [path]


def test_objects_of_json_are_read_and_others_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match=r"x\.json.*do that"):
        read_json_object(path, "do that")
    for content in (b"{", b"[]", b'{"a": 1', b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.json.*do that"):
            read_json_object(path, "do that")
    path.write_text('{"a": 1}')
    assert read_json_object(path) == {"a": 1}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads the names of open files from /proc")
def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_is_afterwards(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    write_atomic(tmp_path / "x.txt", "one")
    assert calls[0][0] == "sync"
    assert calls[0][1].startswith(TEMPORARY)
    assert calls[1:] == [("rename", "x.txt"), ("sync", tmp_path.name)]
    calls.clear()
    with replacing(tmp_path / "y.txt", durable=False) as part:
        part.write_text("what has a checksum")
    assert calls == [("rename", "y.txt")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads the names of open files from /proc")
def test_new_folders_are_on_the_disk(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    make_folder(tmp_path / "a" / "b")
    assert calls == [("sync", tmp_path.name), ("sync", "a")]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_tree_is_on_the_disk(
    tmp_path: Path, calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("x")
    asked = []

    class Library:
        def __init__(self, _: object) -> None: ...
        def syncfs(self, file: int) -> int:
            asked.append(os.path.samestat(os.fstat(file), tmp_path.stat()))
            return 0 if at_once else -1

    monkeypatch.setattr(files.ctypes, "CDLL", Library)
    sync_tree(tmp_path)
    assert asked == [True]
    assert sorted(calls) == ([] if at_once else sorted([("sync", "x"), ("sync", "a"), ("sync", tmp_path.name)]))


def test_a_folder_takes_the_place_of_another_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who looks all the time always finds the one or the other."""
    path = tmp_path / "tasks"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name)
    replace_folder(tmp_path / "old", path)
    missing, end = [], threading.Event()

    def look() -> None:
        while not end.is_set():
            try:
                (path / "which").read_bytes()
            except FileNotFoundError:
                missing.append(1)

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(200):
        replace_folder(tmp_path / "new", path)
    end.set()
    looking.join()
    assert missing == [] or sys.platform not in ("linux", "darwin")
    monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    before = (path / "which").read_text()
    replace_folder(tmp_path / "new", path)
    assert {before, (path / "which").read_text()} == {"old", "new"}
    assert (tmp_path / "new" / "which").read_text() == before


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_there(tmp_path: Path, python: Python) -> None:
    pytest.importorskip("fcntl")
    writers = [start(WRITER, tmp_path) for _ in range(2)]
    try:
        killed, alive = (tmp_path / writer.stdout.readline().strip() for writer in writers)  # type: ignore[union-attr]
        writers[0].kill()
        writers[0].wait()
        assert killed.read_text() == alive.read_text() == "half"
        assert is_empty(tmp_path)
        done = python("-c", "from sonyc_tasks.files import *; write_atomic(Path('y.txt'), 'y')", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["y.txt", alive.name])
        assert not is_empty(tmp_path)
    finally:
        writers[1].communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.txt", "y.txt"]


def test_many_writers_never_take_each_others_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    errors: list[BaseException] = []

    def write(own: int) -> None:
        try:
            for _ in range(60):
                with replacing(tmp_path / f"{own % 2}.txt", durable=False) as part:
                    part.write_text(str(own))
                    sweep(tmp_path)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(own,)) for own in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.txt", "1.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_an_error_of_the_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path, code: int) -> None:
    path = tmp_path / "x.txt"
    write_atomic(path, "old")
    with pytest.raises(OSError, match=r"x\.txt") as caught, replacing(path) as part:  # noqa: PT012, a block that fails
        part.write_text("new")
        raise OSError(code, os.strerror(code))  # as `write` does, without a name
    assert (caught.value.errno, path.read_text()) == (code, "old")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]
    told = explained(caught.value)
    assert str(path) in told
    assert "; " in told
    assert "\n" not in told


def test_a_disk_that_is_found_to_be_full_when_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems, above all those of a network, only then know."""
    write_atomic(path := tmp_path / "x.txt", "old")

    def full(file: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"x\.txt"):
        write_atomic(path, "new")
    assert path.read_text() == "old"


def test_a_file_beyond_the_limit_of_the_process(tmp_path: Path, python: Python) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from sonyc_tasks.errors import explained
from sonyc_tasks.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
try:
    write_atomic(Path("x.txt"), "x" * 2000)
except OSError as error:
    print(explained(error))
"""
    done = python("-c", code, cwd=tmp_path)
    assert "x.txt" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_second_waits_and_says_for_whom(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    first = start(HOLDER, tmp_path)
    try:
        assert first.stdout.readline() == "held\n"  # type: ignore[union-attr]
        second = start(HOLDER, tmp_path)
        told = second.stderr.readline()  # type: ignore[union-attr]
        assert "runs" in told
        assert str(first.pid) in told
        assert second.poll() is None
    finally:
        first.communicate()
    assert second.stdout.readline() == "held\n"  # type: ignore[union-attr]
    second.kill()
    second.communicate()
    assert (tmp_path / "runs" / LOCK).exists()
    with held_folder(tmp_path / "runs"), held_folder(tmp_path / "runs"):  # what the killed one held is free
        assert (tmp_path / "runs" / LOCK).exists()
    assert list((tmp_path / "runs").iterdir()) == []


def test_one_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(50):
            with held(tmp_path / "x.lock", tmp_path / "x"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_made_for_the_lock_only_is_removed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), held_folder(tmp_path / "new"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_only_looks_like_ours_is_left_alone(tmp_path: Path) -> None:
    """Outputs lie in folders that hold other things, such as the current one."""
    mine = [
        tmp_path / f"{TEMPORARY}notes.txt",
        tmp_path / ".work-in-progress-mythesis" / "a",
        tmp_path / ".x-in-progress",
    ]
    for path in (
        *mine,
        tmp_path / ".book-in-progress-chapter1" / "lock",
        tmp_path / ".book-in-progress-chapter1" / "a",
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert not is_empty(tmp_path)
    with held_folder(tmp_path):
        pass
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_holding_a_folder_removes_what_killed_processes_left_in_it(tmp_path: Path) -> None:
    """A command that finds everything done writes nothing, and would leave it for ever."""
    (tmp_path / f"{TEMPORARY}0123456789ab.json").write_text("{")
    for name in (".data-in-progress-abcdefgh", ".without-lock-in-progress-abcdefgh"):
        (tmp_path / name / "work").mkdir(parents=True)
    (tmp_path / ".data-in-progress-abcdefgh" / "lock").touch()
    with build_dir(tmp_path / "other") as alive, held_folder(tmp_path):
        assert alive.is_dir()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".lock", alive.parent.name])
