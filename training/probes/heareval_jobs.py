"""Unmodified heareval in its own processes, through `sonyc_tasks.heareval`, with one progress bar over all of them.

Each runs as a user would type it (the first command is printed), with its output in a log file. What is done already is
not started again: heareval's own marks say that it is done, and the launcher's records that it was this that was done.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slugify import slugify
from tqdm import tqdm

from hear_multiview import frame_cache as cache
from sonyc_tasks.files import file_digest
from sonyc_tasks.launcher.embedding_record import DONE, EmbeddingRecord, differences, module_version, task_digest
from sonyc_tasks.launcher.prediction_guard import PROBED, probed

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "PYTHONWARNINGS": "ignore",
    # Threads that wait must not spin: beside another busy process, everything would be 20 times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
}


@dataclass(frozen=True)
class Submission:
    """A HEAR module as heareval takes it: ``model`` is its weight file, if any; ``options`` go to ``load_model``.

    heareval names its output by module and options only; ``label`` keeps several models of one module apart.
    """

    module: str = "hear_multiview"
    model: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    label: str = ""

    @property
    def folder(self) -> str:
        """Where its embeddings lie below ``embeddings``.

        >>> Submission(options={"view": "private"}, label="single_view").folder
        'single_view/hear_multiview-view=private'
        """
        options = (f"{slugify(key)}={slugify(value)}" for key, value in self.options.items())
        return "/".join(filter(None, [self.label, "-".join([self.module, *options])]))


def views_of(checkpoint: Path, views: Iterable[str]) -> list[Submission]:
    """``hear_multiview`` with ``checkpoint``, once for each view."""
    return [Submission(model=checkpoint, options={} if view == "joint" else {"view": view}) for view in views]


def embed(folder: Path, submissions: Sequence[Submission], frames: Path | None = None) -> None:
    """Embeddings of every task in ``folder/tasks`` by each of the ``submissions``, in ``folder/embeddings``. A front
    end computes each clip once: views and tasks share its frames through the frame cache, in ``frames``, by
    default ``folder/frames``.

    Raises:
        ValueError: heareval failed; the message names its log.
    """
    tasks = sorted((folder / "tasks").iterdir())
    clips = sum(len(json.loads(path.read_text())) for task in tasks for path in _split_files(task))
    environment = {cache.VARIABLE: os.path.relpath(frames or folder / "frames", folder)}
    # The first alone, with every core, fills the cache; the others then mostly read it, side by side.
    for together, threads in ((submissions[:1], cores()), (submissions[1:], 1)):
        waiting = {s.folder: s for s in together if not _embedded(folder / "embeddings" / s.folder, tasks, s)}
        calls = [_arguments(s, folder) for s in waiting.values()]

        def done(waiting: Iterable[str] = tuple(waiting)) -> int:
            return sum(_clips_embedded(folder / "embeddings" / name, tasks, clips) for name in waiting)

        what = "embedding clips (heareval)"
        _run("embeddings", calls, folder, what, done, clips * len(calls), threads, environment)


def _arguments(submission: Submission, folder: Path) -> list[str]:
    model = ["--model", os.path.relpath(submission.model, folder)] if submission.model else []
    options = ["--model-options", json.dumps(dict(submission.options))] if submission.options else []
    out = ["--embeddings-dir", f"embeddings/{submission.label}"] if submission.label else []
    return [submission.module, *model, "--tasks-dir", "tasks", *out, *options]


def _embedded(out: Path, tasks: Sequence[Path], submission: Submission) -> bool:
    """Whether heareval need not be started; where a record is of something else, the launcher says so and refuses."""
    return all(_marked(out, task) and _made_of(out / task.name, task, submission) for task in tasks)


def _marked(out: Path, task: Path) -> bool:
    return (out / task.name / DONE).exists()


def _made_of(embedded: Path, task: Path, submission: Submission) -> bool:
    """Whether ``embedded`` is of this task and submission, by all of its record that can be told without loading the
    model. A folder without a record is taken as it is, with a warning."""
    record = EmbeddingRecord.read(embedded)
    if record is None:
        warnings.warn(f"{embedded} has no record of what embedded it; delete it to have it embedded anew", stacklevel=2)
        return True
    weights = {"tensors": record.weights.get("tensors", "")}
    if submission.model is not None:
        weights["file"] = file_digest(submission.model)
    wanted = replace(
        record,
        module=submission.module,
        version=module_version(submission.module),
        options=dict(submission.options),
        weights=weights,
        task=task_digest(task, record.sample_rate),
    )
    return not differences(record, wanted)


def _clips_embedded(out: Path, tasks: Sequence[Path], clips: int) -> int:
    """How many of the ``clips`` of ``tasks`` have an embedding in ``out``."""
    return clips if all(_marked(out, task) for task in tasks) else sum(1 for _ in out.glob("*/*/*.embedding.npy"))


def predict(folder: Path) -> None:
    """Probe every embedding in ``folder/embeddings``: heareval's predictions, one setting of each task's own grid.

    Raises:
        ValueError: heareval failed; the message names its log.
    """
    embedded = sorted(mark.parent for mark in (folder / "embeddings").rglob(DONE))
    waiting = [path for path in embedded if not probed(path)]
    names = [str(path.relative_to(folder)) for path in waiting]
    calls = [[name, "--grid-points", "1"] for name in names]

    def done() -> int:
        return sum((path / PROBED).exists() for path in waiting)

    # Probes are small: a GPU would not speed them up, and would add its own last digits.
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    _run("predictions", calls, folder, "probing tasks (heareval)", done, len(waiting), 1, environment)


def _run(
    command: str,
    calls: Sequence[Sequence[str]],
    folder: Path,
    what: str,
    done: Callable[[], int],
    expected: int,
    threads: int,
    environment: Mapping[str, str],
) -> None:
    """Make all ``calls`` of a heareval ``command`` in ``folder``, in as many processes as there are cores for, and
    watch ``done()``.

    ``threads`` of each must not depend on how many are left: sums in another order would give other last digits, and an
    interrupted job must end with the same result.
    """
    if not calls:
        return
    (folder / "logs").mkdir(exist_ok=True)
    environment = {**os.environ, **ENVIRONMENT, **environment, "OMP_NUM_THREADS": str(threads)}
    at_once = min(max(1, cores() // threads), len(calls))
    log.info("  $ python -m %s", shlex.join(["sonyc_tasks.heareval", command, *calls[0]]))
    if len(calls) > 1:
        log.info("  … and %d more", len(calls) - 1)
    logged = len(list((folder / "logs").glob("*.log")))
    before = done()
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for number in range(at_once):
            first, *others = calls[number::at_once]
            arguments = [command, *first, *(part for call in others for part in ("+", *call))]
            output = folder / "logs" / f"{command}-{logged + number + 1}.log"
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", "sonyc_tasks.heareval", *arguments],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    preexec_fn=die_with_parent,
                )
            running.append((process, output))
        with tqdm(total=expected, desc=f"  {what}") as bar:
            ended = False
            while not ended:
                time.sleep(0.3)
                ended = all(process.poll() is not None for process, _ in running)
                for process, output in running:
                    if process.poll() not in (None, 0):
                        last = output.read_text(errors="replace").strip().splitlines() or ["no output"]
                        raise ValueError(f"heareval failed ({last[-1].strip()}); all of its output is in {output}")
                if more := done() - before - bar.n:
                    bar.update(more)
    finally:
        for process, _ in running:
            process.terminate()


_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Called in a child process: Linux then kills it where its parent dies, even of SIGKILL. An orphan would go on
    writing into the folder that a restarted parent works in."""
    if _C_LIBRARY is not None:
        set_parent_death_signal = 1
        _C_LIBRARY.prctl(set_parent_death_signal, signal.SIGKILL)


def _split_files(task: Path) -> list[Path]:
    metadata = json.loads((task / "task_metadata.json").read_text())
    return [task / f"{split}.json" for split in metadata["splits"]]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
