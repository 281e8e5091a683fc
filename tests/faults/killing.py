"""Kill a job at a chosen moment, run it again, and compare what it leaves with an undisturbed run.

A job runs in a fork of this process, which has imported everything: so all of its time is work, and a moment costs
tenths of a second instead of the seconds that a new interpreter takes to import torch. The fork leads a process group
of its own, all of which is killed. There are two kinds of moments: after some seconds, and before the n-th change of a
name in the job's folder (a file is opened for writing, renamed, removed; a folder is made or removed). The second kind
meets the gaps between two changes, which last microseconds, and it meets the same one again with the same seed.
"""

from __future__ import annotations

import errno
import faulthandler
import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors import safe_open

from sonyc_tasks.errors import explained

#: Names of what is never a result: in none of these may a finished job leave anything.
UNFINISHED = re.compile(r"\.writing-|\.part(ial)?$|-in-progress-|\.lock$|\.tmp|\.unpacking|\.new$|\.replaced$|\.parts$")
#: Seconds after which a job that is left alone counts as hanging, and the exit status that stands for it.
LONGEST, HANGS = 300.0, 100
#: Exit status of a job that has said in one sentence why it cannot go on.
SAID = 3
_NEEDS_SPACE = {"open", "os.rename", "os.mkdir", "os.link"}
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


@dataclass(frozen=True)
class Job:
    """Something to kill.

    Attributes:
        name: of the job.
        run: does it, or resumes it, in the first folder, from what lies in the second.
        volatile: paths, relative to the folder, whose content or existence depends on when or how often it is run.
        foreign: paths of unmodified heareval, which marks a folder as done instead of writing each file whole.
        cheap: takes seconds, and starts no other processes.
    """

    name: str
    run: Callable[[Path, Path], None]
    volatile: str = r"(?!)"
    foreign: str = r"(?!)"
    cheap: bool = True


class Trial:
    """A job, what it starts from, and what an undisturbed run of it gives."""

    def __init__(self, job: Job, given: Path, place: Path) -> None:
        self.job, self.given, self.place = job, given, place
        self.wrong: list[str] = []
        self._runs = 0
        self.reference = self._fresh("reference")
        begun = time.monotonic()
        code, self.changes = run(job, self.reference, given)
        self.seconds = time.monotonic() - begun
        self.expected = contents(job, self.reference)
        if code:
            self.wrong.append(f"{job.name}: the undisturbed run fails, see {self.reference}.log")
        self._check_left(self.reference, "undisturbed")

    def killed(self, kills: int, rng: np.random.Generator) -> int:
        """Kill the job up to so many times in one folder, then let it end; how often it was killed."""
        folder, history, done = self._fresh("killed"), [], 0
        for _ in range(kills):
            at: dict[str, Any] = {"seconds": float(rng.uniform(0, self.seconds))}
            if self.changes and rng.random() < 0.7:
                at = {"change": int(rng.integers(1, self.changes + 1))}
            code, _ = run(self.job, folder, self.given, **at)
            history.append(f"{at} → {code}")
            if code != -signal.SIGKILL:
                if code:
                    self.wrong.append(f"{self.job.name}, {history}: fails, see {folder}.log")
                break
            done += 1
            self.wrong += [f"{self.job.name}, {history}: {bad}" for bad in broken(self.job, folder, self.expected)]
        self._ends_well(folder, str(history))
        return done

    def full(self, rng: np.random.Generator) -> bool:
        """Let a change of a name fail as on a full disk, then let the job end; whether it came to that change.

        The job has to say it in one sentence with a file's name, and must not hide it.
        """
        folder = self._fresh("full")
        change = int(rng.integers(1, self.changes + 1))
        code, _ = run(self.job, folder, self.given, change=change, full=True)
        history = f"full disk at change {change} → {code}"
        self._check_refusal(folder, code, history)
        self._ends_well(folder, history)
        return code == SAID

    def small_disk(self, rng: np.random.Generator) -> bool:
        """Let the job write to a real disk that is too small, then to the same one when it has space again; whether it
        came to its end.

        As above, and here it may be any library that is refused the space, in the middle of a file.
        """
        folder, share = self._fresh("small"), float(rng.uniform(0.02, 0.95))
        size = sum(path.stat().st_size for path in self.reference.rglob("*") if path.is_file())
        with _mounted(folder, max(int(share * size), 8192)) as remount:
            code, _ = run(self.job, folder, self.given)
            history = f"a disk of {share:.2f} of the result's size → {code}"
            self._check_refusal(folder, code, history)
            remount("size=4g")
            self._ends_well(folder, history)
        return code == SAID

    def read_only(self) -> None:
        """Let the job meet a file system that can only be read, then the same one when it can be written."""
        folder = self._fresh("read-only")
        with _mounted(folder, 2**32) as remount:
            remount("ro")
            code, _ = run(self.job, folder, self.given)
            self._check_refusal(folder, code, "read-only")
            if code == 0:
                self.wrong.append(f"{self.job.name}, read-only: says that it is done")
            remount("rw")
            self._ends_well(folder, "read-only")

    def together(self, rng: np.random.Generator) -> None:
        """Two of the job at once, in one folder."""
        folder = self._fresh("together")
        children = [start(self.job, folder, self.given), 0]
        time.sleep(float(rng.uniform(0, self.seconds / 2)))
        children[1] = start(self.job, folder, self.given)
        codes = [waited_for(child, LONGEST) for child in children]
        if any(codes):
            self.wrong.append(f"{self.job.name}, two at once → {codes}: see {folder}.log")
        self._check_result(folder, "two at once")

    def _fresh(self, what: str) -> Path:
        self._runs += 1
        folder = self.place / f"{self._runs}-{what}"
        folder.mkdir(parents=True)
        return folder

    def _check_refusal(self, folder: Path, code: int, history: str) -> None:
        if code not in (0, SAID):
            self.wrong.append(f"{self.job.name}, {history}: not one sentence, see {folder}.log")
        self.wrong += [f"{self.job.name}, {history}: {bad}" for bad in broken(self.job, folder, self.expected)]

    def _ends_well(self, folder: Path, history: str) -> None:
        code, _ = run(self.job, folder, self.given)
        if code:
            self.wrong.append(f"{self.job.name}, {history}: the last run fails, see {folder}.log")
        self._check_result(folder, history)

    def _check_result(self, folder: Path, history: str) -> None:
        found = contents(self.job, folder)
        if differs := sorted(n for n in found.keys() | self.expected.keys() if found.get(n) != self.expected.get(n)):
            self.wrong.append(f"{self.job.name}, {history}: differs in {differs[:5]} ({len(differs)}), see {folder}")
        self._check_left(folder, history)
        if not self.wrong:
            shutil.rmtree(folder, ignore_errors=True)  # which leaves the folder that a disk is mounted on

    def _check_left(self, folder: Path, history: str) -> None:
        if left := [name for name in everything(folder) if UNFINISHED.search(name)]:
            self.wrong.append(f"{self.job.name}, {history}: leaves {left[:5]}")


def may_mount() -> bool:
    """Whether this process may mount file systems, as root on Linux."""
    with tempfile.TemporaryDirectory() as folder, suppress(OSError, subprocess.CalledProcessError):
        with _mounted(Path(folder), 8192):
            pass
        return True
    return False


@contextmanager
def _mounted(folder: Path, size: int) -> Iterator[Callable[[str], None]]:
    """A file system in memory of so many bytes on ``folder``; yields what mounts it again with other options."""

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, "-t", "tmpfs", "tmpfs", str(folder)], check=True, capture_output=True)

    mount("-o", f"size={size},mode=0755")
    try:
        yield lambda option: mount("-o", f"remount,{option}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def everything(folder: Path) -> list[str]:
    """Every file and folder below ``folder``, by its name relative to that."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(job: Job, folder: Path) -> dict[str, str]:
    """The sha256 of every file of the job's result, and empty for a folder."""
    return {
        name: _digest(folder / name) if (folder / name).is_file() else ""
        for name in everything(folder)
        if not re.search(job.volatile, name)
    }


def _digest(path: Path) -> str:
    """The sha256 of a file, or of what heareval has predicted and measured, without the times."""
    content = path.read_bytes()
    if path.name.endswith(".predictions.pkl"):
        found = pickle.loads(content)  # of heareval, a moment ago
        content = b"".join(np.asarray(found[name]).tobytes() for name in ("predictions", "targets") if name in found)
    elif path.name.endswith(".predicted-scores.json"):
        found = json.loads(content)
        tests = {name: entry for name, entry in found.items() if isinstance(entry, dict) and "test_score" in entry}
        scores = {name: {k: v for k, v in entry.items() if "time" not in k} for name, entry in tests.items()}
        content = json.dumps(scores).encode()
    return hashlib.sha256(content).hexdigest()


def broken(job: Job, folder: Path, expected: dict[str, str]) -> Iterator[str]:
    """Files of a killed job that have the name of a result, and are neither that nor whole."""
    found = contents(job, folder)
    for name, digest in found.items():
        if not digest or UNFINISHED.search(name) or re.search(job.foreign, name) or expected.get(name) == digest:
            continue
        if any(UNFINISHED.search(part) for part in Path(name).parts):
            continue
        try:
            _read_whole(folder / name)
        except Exception as error:
            yield f"{name} is half written ({type(error).__name__}: {str(error)[:80]})"


def _read_whole(path: Path) -> None:
    """Raise anything unless ``path`` can be read to its end, as far as its suffix says how."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl":
        [json.loads(line) for line in path.read_text().splitlines()]
    elif path.suffix == ".wav":
        soundfile.read(path)
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118, not a dict
    elif path.suffix in (".pt", ".pth"):
        torch.load(path, weights_only=True)
    elif path.suffix in (".npz", ".npy"):
        np.load(path)
    elif path.suffix == ".parquet":
        from pyarrow import parquet

        parquet.read_table(path)


def run(
    job: Job, folder: Path, given: Path, *, change: int = 0, seconds: float | None = None, full: bool = False
) -> tuple[int, int]:
    """The job's exit status, negative for a signal, and how many changes of names it made, where it ended.

    Args:
        change: before which it is killed, or at which the disk is ``full``; 0 is none.
        seconds: after which it is killed.
    """
    count = _count(folder)
    count.unlink(missing_ok=True)
    child = start(job, folder, given, change, full)
    code = waited_for(child, LONGEST if seconds is None else seconds)
    return (HANGS if code == -signal.SIGKILL and seconds is None and not change else code), _read_count(count)


def waited_for(child: int, seconds: float) -> int:
    """The exit status of a process that is killed after so many seconds, with all that it has started."""
    end, status = time.monotonic() + seconds, None
    while status is None and (left := end - time.monotonic()) > 0:
        time.sleep(min(0.005, left))
        ended, found = os.waitpid(child, os.WNOHANG)
        status = found if ended else None
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        with suppress(ProcessLookupError):  # so early that it has no group of its own yet
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def start(job: Job, folder: Path, given: Path, change: int = 0, full: bool = False) -> int:
    """Fork a process that does the job; its number."""
    child = os.fork()
    if not child:
        _in_fork(job, folder, given, change, full)
    return child


def _count(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.changes")


def _read_count(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def _in_fork(job: Job, folder: Path, given: Path, change: int, full: bool) -> None:
    """Do the job and end the process, whatever happens: nothing of the parent's, which waits above, may run here."""
    code = 1
    try:
        os.setsid()
        log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        faulthandler.dump_traceback_later(LONGEST / 2, file=log)
        os.chdir(folder)
        changes = _Changes(folder, change, full)
        sys.addaudithook(changes.seen)
        try:
            job.run(folder, given)
            code = 0
        finally:
            changes.change = 0
            _count(folder).write_text(str(changes.count))
    except (OSError, ValueError) as error:
        traceback.print_exc()
        told = explained(error)
        code = SAID if len(told.splitlines()) == 1 and "; " in told and str(folder) in told else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Changes:
    """Counts changes of names in a folder, and ends the process, or the space on the disk, at one of them."""

    def __init__(self, folder: Path, change: int, full: bool) -> None:
        self.folder, self.change, self.full, self.count = str(folder), change, full, 0

    def seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook of Python."""
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if not isinstance(path, str | bytes | os.PathLike) or self.folder not in os.path.abspath(os.fsdecode(path)):
            return
        self.count += 1
        if self.full and 0 < self.change <= self.count and event in _NEEDS_SPACE:
            self.change = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if self.count == self.change and not self.full:
            os.kill(0, signal.SIGKILL)
