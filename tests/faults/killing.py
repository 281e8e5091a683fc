"""Kill a job at a chosen moment, run it again, and compare what it leaves with an undisturbed run.

A job runs in a fork of this process, which has imported everything: so all of its time is work, and a moment costs
tenths of a second instead of the seconds that a new interpreter takes to import torch. The fork leads a process group
of its own, all of which is killed. There are two kinds of moments: after some seconds, and before the n-th change of a
name in the job's folder (a file is opened for writing, renamed, removed; a folder is made or removed). The second kind
meets the gaps between two changes, which last microseconds, and it meets the same one again with the same seed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors import safe_open

#: Names of what is never a result: in none of these may a finished job leave anything.
UNFINISHED = re.compile(r"\.writing-|\.part(ial)?$|-in-progress-|\.lock$|\.tmp|\.unpacking|\.new$|\.replaced$|\.parts$")
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


@dataclass(frozen=True)
class Job:
    """Something to kill.

    Attributes:
        name: of the job.
        run: does it, or resumes it, in the first folder, from what lies in the second.
        volatile: paths, relative to the folder, whose content or existence depends on when or how often it is run.
        foreign: paths of unmodified heareval, which marks a folder as done instead of writing each file whole.
        seconds: an undisturbed run may take; for the choice of jobs that the tests run.
    """

    name: str
    run: Callable[[Path, Path], None]
    volatile: str = r"(?!)"
    foreign: str = r"(?!)"
    cheap: bool = True


@dataclass
class Outcome:
    """What killing a job came to: the moments, and what was wrong, in words."""

    kills: int = 0
    moments: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def torture(job: Job, given: Path, place: Path, kills: int, rng: np.random.Generator, *, say: Callable[[str], None]) -> Outcome:
    """Kill ``job`` at so many moments, in runs of up to four kills each, and compare every run with an undisturbed one."""
    outcome = Outcome()
    reference = place / "reference"
    begun = time.monotonic()
    _fresh(reference)
    code, changes = _run(job, reference, given)
    seconds = time.monotonic() - begun
    if code:
        outcome.wrong.append(f"{job.name}: the undisturbed run fails, see {reference}.log")
        return outcome
    expected = contents(job, reference)
    say(f"{job.name}: {seconds:.1f} s, {changes} changes, {len(expected)} files")
    if left := [name for name in everything(reference) if UNFINISHED.search(name)]:
        outcome.wrong.append(f"{job.name}: the undisturbed run leaves {left}")
    run = 0
    while outcome.kills < kills and not outcome.wrong:
        run += 1
        folder = place / f"run{run}"
        _fresh(folder)
        history = []
        for _ in range(min(int(rng.integers(1, 5)), kills - outcome.kills)):
            at: dict[str, Any] = {"seconds": float(rng.uniform(0, seconds))}
            if changes and rng.random() < 0.7:
                at = {"change": int(rng.integers(1, changes + 1))}
            code, _ = _run(job, folder, given, **at)
            history.append(f"{at} → {code}")
            if code != -signal.SIGKILL:
                if code:
                    outcome.wrong.append(f"{job.name}, run {run}, {history}: fails, see {folder}.log")
                break
            outcome.kills += 1
            outcome.moments.append(f"{job.name} {at}")
            outcome.wrong += [f"{job.name}, run {run}, {history}: {bad}" for bad in broken(job, folder, expected)]
        code, _ = _run(job, folder, given)
        found = contents(job, folder)
        if code:
            outcome.wrong.append(f"{job.name}, run {run}, {history}: the last run fails, see {folder}.log")
        elif found != expected:
            differs = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
            outcome.wrong.append(f"{job.name}, run {run}, {history}: differs in {differs[:5]} ({len(differs)})")
        if left := [name for name in everything(folder) if UNFINISHED.search(name)]:
            outcome.wrong.append(f"{job.name}, run {run}, {history}: leaves {left[:5]}")
        if not outcome.wrong:
            shutil.rmtree(folder)
    return outcome


def everything(folder: Path) -> list[str]:
    """Every file and folder below ``folder``, by its name relative to that."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(job: Job, folder: Path) -> dict[str, str]:
    """The sha256 of every file of the job's result, and empty for a folder."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() if (folder / name).is_file() else ""
        for name in everything(folder)
        if not re.search(job.volatile, name)
    }


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


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _run(job: Job, folder: Path, given: Path, change: int = 0, seconds: float | None = None) -> tuple[int, int]:
    """The job's exit status, negative for a signal, and how many changes of names it made."""
    count = folder.with_suffix(".changes")
    count.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _in_fork(job, folder, given, change, count)
    if seconds is not None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (ended := os.waitpid(child, os.WNOHANG))[0]:
                return os.waitstatus_to_exitcode(ended[1]), _read_count(count)
            time.sleep(min(0.005, max(end - time.monotonic(), 0)))
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:  # so early that it has no group of its own yet
            os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    try:  # what it has started and left behind
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return os.waitstatus_to_exitcode(status), _read_count(count)


def _read_count(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def _in_fork(job: Job, folder: Path, given: Path, change: int, count: Path) -> None:
    os.setsid()
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(folder)
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | bytes) and str(folder) in os.path.abspath(os.fsdecode(path)):
            seen += 1
            if seen == change:
                os.kill(0, signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    try:
        job.run(folder, given)
        code = 0
    except BaseException:
        traceback.print_exc()
    total = seen
    count.write_text(str(total))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
