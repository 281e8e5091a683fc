"""Unmodified heareval in its own processes: the commands of its README, with one progress bar over all of them.

Each runs as a user would type it (the command is printed), with its output in a log file; what is done already, by
heareval's own marks, is not started again.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slugify import slugify
from tqdm import tqdm

from hear_multiview import cache

ENVIRONMENT = {
    # heareval's predictions runner loads checkpoints that hold classes, which torch >= 2.6 refuses unless told so.
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    # heareval refuses to start where torch sees a GPU and TensorFlow, here a build without GPU support, does not.
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class Submission:
    """A HEAR module as heareval takes it: ``model`` is its weight file, if any; ``options`` go to ``load_model``."""

    module: str = "hear_multiview"
    model: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """heareval's name for the folder of its embeddings.

        >>> Submission(options={"view": "private"}).folder
        'hear_multiview-view=private'
        """
        return "-".join([self.module, *(f"{slugify(key)}={slugify(value)}" for key, value in self.options.items())])


def views_of(checkpoint: Path, views: Iterable[str]) -> list[Submission]:
    """``hear_multiview`` with ``checkpoint``, once for each view."""
    return [Submission(model=checkpoint, options={} if view == "joint" else {"view": view}) for view in views]


def embed(folder: Path, submissions: Sequence[Submission]) -> None:
    """Embeddings of every task in ``folder/tasks`` by each of the ``submissions``, in ``folder/embeddings``. A front
    end computes each clip once: views and tasks share its frames through `hear_multiview.cache`, in ``folder/frames``.

    Raises:
        ValueError: heareval failed; the message names its log.
    """
    commands = []
    tasks = sorted((folder / "tasks").iterdir())
    clips = sum(len(json.loads(path.read_text())) for task in tasks for path in _split_files(task))
    for submission in submissions:
        out = folder / "embeddings" / submission.folder
        if all((out / task.name / ".done.embeddings").exists() for task in tasks):
            continue
        model = ["--model", os.path.relpath(submission.model, folder)] if submission.model else []
        options = ["--model-options", json.dumps(dict(submission.options))] if submission.options else []
        commands.append(["heareval.embeddings.runner", submission.module, *model, "--tasks-dir", "tasks", *options])
    started = time.time()

    def done() -> int:
        files = (folder / "embeddings").glob("*/*/*/*.embedding.npy")
        return sum(path.stat().st_mtime >= started - 1 for path in files)

    # The first alone fills the cache; the others then mostly read it, side by side.
    for together in (commands[:1], commands[1:]):
        _run(together, folder, "embedding clips (heareval)", done, clips * len(together))


def predict(folder: Path, grid: str, grid_points: int) -> None:
    """Probe every embedding in ``folder/embeddings``: heareval's predictions, with its own ``grid`` of settings.

    Raises:
        ValueError: heareval failed; the message names its log.
    """
    waiting = [p for p in sorted((folder / "embeddings").glob("*/*")) if not (p / "prediction-done.json").exists()]
    names = [str(path.relative_to(folder)) for path in waiting]
    options = ["--grid", grid, "--grid-points", str(grid_points)]
    jobs = min(_cores(), len(names))
    commands = [["heareval.predictions.runner", *names[job::jobs], *options] for job in range(jobs)]

    def done() -> int:
        return sum((path / "prediction-done.json").exists() for path in waiting)

    _run(commands, folder, "probing tasks (heareval)", done, len(waiting))


def _run(commands: Sequence[Sequence[str]], folder: Path, what: str, done: Callable[[], int], expected: int) -> None:
    """Run ``python -m`` of each command in ``folder``, as many at a time as there are cores, and watch ``done()``."""
    if not commands:
        return
    (folder / "logs").mkdir(exist_ok=True)
    at_once = min(_cores(), len(commands))
    threads = str(max(1, _cores() // at_once))
    environment = {**os.environ, **ENVIRONMENT, cache.VARIABLE: "frames", "OMP_NUM_THREADS": threads}
    queue = list(commands)
    for command in queue:
        print("  $ python -m " + shlex.join(command), flush=True)
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    before = done()
    try:
        with tqdm(total=expected, desc=f"  {what}") as bar:
            while queue or running:
                while queue and len(running) < at_once:
                    command = queue.pop(0)
                    log = folder / "logs" / f"{command[0]}-{len(list((folder / 'logs').glob('*.log'))) + 1}.log"
                    with log.open("wb") as file:
                        process = subprocess.Popen(
                            [sys.executable, "-m", *command],
                            cwd=folder,
                            env=environment,
                            stdin=subprocess.DEVNULL,
                            stdout=file,
                            stderr=subprocess.STDOUT,
                        )
                    running.append((process, log))
                time.sleep(0.2)
                for process, log in running:
                    if process.poll() not in (None, 0):
                        last = log.read_text(errors="replace").strip().splitlines() or ["no output"]
                        raise ValueError(f"heareval failed ({last[-1].strip()}); all of its output is in {log}")
                running = [(process, log) for process, log in running if process.poll() is None]
                if more := done() - before - bar.n:
                    bar.update(more)
    finally:
        for process, _ in running:
            process.terminate()


def _split_files(task: Path) -> list[Path]:
    metadata = json.loads((task / "task_metadata.json").read_text())
    return [task / f"{split}.json" for split in metadata["splits"]]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
