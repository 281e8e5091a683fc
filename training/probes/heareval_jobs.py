"""Run unmodified heareval in separate processes, through `sonyc_tasks.heareval`, with a common progress bar.

Each process runs a command that a user could type (the first is printed) and writes its output to a log file. Finished
work is not repeated: heareval marks what is done, and the launcher records what it was done with.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
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
from sonyc_tasks.heareval import NO_TENSORFLOW
from sonyc_tasks.launcher.embedding_record import DONE, EmbeddingRecord, differences, module_version, task_digest
from sonyc_tasks.launcher.prediction_guard import PROBED, probed
from sonyc_tasks.processes import cores, die_with_parent

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "PYTHONWARNINGS": "ignore",
    # Waiting threads must not spin: next to another busy process, spinning makes everything 20 times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
}


@dataclass(frozen=True)
class Submission:
    """A HEAR module to evaluate.

    Attributes:
        module: name of the Python module.
        model: its weight file; None for a module without one.
        options: keyword arguments of its ``load_model``.
        label: a folder of its own for the embeddings. heareval names its output by module and options only, so models
            that differ only in their weights need different labels.
    """

    module: str = "hear_multiview"
    model: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    label: str = ""

    @property
    def folder(self) -> str:
        """The folder of its embeddings, relative to ``embeddings``.

        >>> Submission(options={"view": "private"}, label="single_view").folder
        'single_view/hear_multiview-view=private'
        """
        options = (f"{slugify(key)}={slugify(value)}" for key, value in self.options.items())
        return "/".join(filter(None, [self.label, "-".join([self.module, *options])]))


def views_of(checkpoint: Path, views: Iterable[str]) -> list[Submission]:
    """Return one `Submission` of ``hear_multiview`` with ``checkpoint`` per view."""
    return [Submission(model=checkpoint, options={} if view == "joint" else {"view": view}) for view in views]


def run_embeddings(folder: Path, submissions: Sequence[Submission], frames: Path | None = None) -> None:
    """Embed every task in ``folder/tasks`` with each submission.

    A front end processes each clip only once: views and tasks share its output through the frame cache.

    Args:
        folder: working folder; the embeddings are written to ``folder/embeddings``.
        submissions: what to embed with. The first one fills the cache and gets all cores.
        frames: folder of the frame cache; None means ``folder/frames``.

    Raises:
        ValueError: heareval failed; the message names its log.
    """
    tasks = sorted((folder / "tasks").iterdir())
    clips = sum(len(json.loads(path.read_text())) for task in tasks for path in _split_files(task))
    environment = {cache.VARIABLE: os.path.relpath(frames or folder / "frames", folder)}
    if all(s.module.partition(".")[0] == "hear_multiview" for s in submissions):  # these are torch's
        environment[NO_TENSORFLOW] = "1"
    # The first runs alone on all cores and fills the cache; the others mostly read it and run in parallel.
    for together, threads in ((submissions[:1], cores()), (submissions[1:], 1)):
        waiting = {s.folder: s for s in together if not _embedded(folder / "embeddings" / s.folder, tasks, s)}
        calls = [_arguments(s, folder) for s in waiting.values()]

        def done(waiting: Iterable[str] = tuple(waiting)) -> int:
            return sum(_clips_embedded(folder / "embeddings" / name, tasks, clips) for name in waiting)

        label = "embedding clips (heareval)"
        _run("embeddings", calls, folder, label, done, clips * len(calls), threads, environment)


def _arguments(submission: Submission, folder: Path) -> list[str]:
    model = ["--model", os.path.relpath(submission.model, folder)] if submission.model else []
    options = ["--model-options", json.dumps(dict(submission.options))] if submission.options else []
    out = ["--embeddings-dir", f"embeddings/{submission.label}"] if submission.label else []
    return [submission.module, *model, "--tasks-dir", "tasks", *out, *options]


def _embedded(out: Path, tasks: Sequence[Path], submission: Submission) -> bool:
    """Whether there is nothing to embed. If not, the launcher is started, and rejects embeddings of something else."""
    return all(_marked(out, task) and _record_matches(out / task.name, task, submission) for task in tasks)


def _marked(out: Path, task: Path) -> bool:
    return (out / task.name / DONE).exists()


def _record_matches(embedded: Path, task: Path, submission: Submission) -> bool:
    """Whether ``embedded`` was made of this task and submission, as far as can be told without loading the model.

    A folder without a record is accepted with a warning.
    """
    record = EmbeddingRecord.read(embedded)
    if record is None:
        warnings.warn(f"{embedded} has no record of how it was made; delete it to embed it again", stacklevel=2)
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
    """Count the clips of ``tasks`` (``clips`` in all) that have an embedding in ``out``."""
    return clips if all(_marked(out, task) for task in tasks) else sum(1 for _ in out.glob("*/*/*.embedding.npy"))


def run_predictions(folder: Path) -> None:
    """Train heareval's probes on all embeddings in ``folder/embeddings``, with one grid point of each task.

    Args:
        folder: working folder of `run_embeddings`.

    Raises:
        ValueError: heareval failed; the message names its log.
    """
    embedded = sorted(mark.parent for mark in (folder / "embeddings").rglob(DONE))
    waiting = [path for path in embedded if not probed(path)]
    names = [str(path.relative_to(folder)) for path in waiting]
    calls = [[name, "--grid-points", "1"] for name in names]

    def done() -> int:
        return sum((path / PROBED).exists() for path in waiting)

    # Probes are small: a GPU would not speed them up, and would change the last digits.
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    _run("predictions", calls, folder, "probing tasks (heareval)", done, len(waiting), 1, environment)


def _run(
    command: str,
    calls: Sequence[Sequence[str]],
    folder: Path,
    label: str,
    done: Callable[[], int],
    expected: int,
    threads: int,
    environment: Mapping[str, str],
) -> None:
    """Make all ``calls`` of a heareval ``command`` in ``folder``, in parallel, and show ``done()`` of ``expected``.

    The number of ``threads`` per process must not depend on how many calls are left: it changes the order of
    floating-point sums, and an interrupted job must end with the same result.
    """
    if not calls:
        return
    (folder / "logs").mkdir(exist_ok=True)
    environment = {**os.environ, **ENVIRONMENT, **environment, "OMP_NUM_THREADS": str(threads)}
    parallel = min(max(1, cores() // threads), len(calls))
    log.info("  $ python -m %s", shlex.join(["sonyc_tasks.heareval", command, *calls[0]]))
    if len(calls) > 1:
        log.info("  … and %d more", len(calls) - 1)
    logged = len(list((folder / "logs").glob("*.log")))
    before = done()
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for number in range(parallel):
            first, *others = calls[number::parallel]
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
        with tqdm(total=expected, desc=f"  {label}") as bar:
            ended = False
            while not ended:
                time.sleep(0.3)
                ended = all(process.poll() is not None for process, _ in running)
                for process, output in running:
                    if process.poll() not in (None, 0):
                        last = output.read_text(errors="replace").strip().splitlines() or ["no output"]
                        raise ValueError(f"heareval failed ({last[-1].strip()}); see its output in {output}")
                if more := done() - before - bar.n:
                    bar.update(more)
    finally:
        for process, _ in running:
            process.terminate()


def _split_files(task: Path) -> list[Path]:
    metadata = json.loads((task / "task_metadata.json").read_text())
    return [task / f"{split}.json" for split in metadata["splits"]]
