"""Run unmodified heareval 2021.1.3 with today's machines and libraries.

::

    python -m sonyc_tasks.heareval embeddings …     for  python -m heareval.embeddings.runner …
    python -m sonyc_tasks.heareval predictions …    for  python -m heareval.predictions.runner …

with the same arguments, for any HEAR module. A ``+`` separates the arguments of several calls, which then run one after
the other in one process and import heareval only once. Nothing of heareval changes on disk: each function of this
module patches, in this process, one thing that today's libraries no longer provide. In addition, a task's
``evaluation`` may name the three averages of the Jaccard index as scores.

heareval checks little, and late. What would crash it after hours or give a meaningless score is refused before any
work, in one sentence: see `sonyc_tasks.launcher.embedding_guard` and `sonyc_tasks.launcher.prediction_guard`.

``import heareval`` finds the installed package here too, because imports in this project are absolute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from sonyc_tasks.launcher import embedding_guard, prediction_guard
from sonyc_tasks.launcher.hooks import DoubtfulError
from sonyc_tasks.scores import metrics
from sonyc_tasks.scores.score import THRESHOLD

COMMANDS = ("embeddings", "predictions")
#: The environment variable that, set to 1, says that no module to embed with is TensorFlow's. heareval then does
#: without it, and a process starts sooner and takes less memory.
NO_TENSORFLOW = "SONYC_TASKS_NO_TENSORFLOW"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of heareval's commands once or several times; exit, as they do, if one fails."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command not in COMMANDS:
        wanted = f"{'|'.join(COMMANDS)} … (each with --help, and with the arguments of heareval.<command>.runner)"
        usage = f"usage: python -m sonyc_tasks.heareval {wanted}"
        if command in ("-h", "--help"):
            print(usage)
            return
        raise SystemExit(usage)
    try:
        runner, doubts = guarded(command), []
        for call in calls(rest):
            try:
                runner.main(args=call, prog_name=f"python -m sonyc_tasks.heareval {command}")
            except DoubtfulError as doubt:
                doubts.append(str(doubt))
            except SystemExit as end:  # click's way to return
                if end.code:
                    raise
        if doubts:
            sys.stdout.flush()
            raise SystemExit("\n".join(doubts))
    except ModuleNotFoundError as error:
        if error.name == "heareval":
            raise SystemExit(
                "error: heareval is not installed; run pip install --no-deps heareval==2021.1.3, and install this "
                "project's extra [eval], which is what heareval needs"
            ) from error
        if error.name == "tensorflow":
            raise SystemExit(
                "error: the model needs TensorFlow, which is not installed; run pip install tensorflow and start again"
            ) from error
        raise


def calls(arguments: Sequence[str]) -> list[list[str]]:
    """Split the arguments into calls.

    >>> calls(["a", "--task", "t", "+", "b"])
    [['a', '--task', 't'], ['b']]
    """
    found: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "+":
            found.append([])
        else:
            found[-1].append(argument)
    return found


def guarded(command: str) -> Any:
    """Return heareval's click command of that name, `prepared`, with our checks around the function behind it."""
    runner = copy(prepared(command))
    guard = embedding_guard if command == "embeddings" else prediction_guard
    runner.callback = partial(guard.guarded, runner.callback)
    return runner


def prepared(command: str) -> Any:
    """Return heareval's click command of that name, with everything that it needs patched in."""
    if command == "embeddings":
        with tensorflow_or_stand_in():
            runner = import_module("heareval.embeddings.runner").runner
    else:
        runner = import_module("heareval.predictions.runner").runner
        allow_checkpoint_classes()
        let_the_epoch_be_set()
        register_jaccard()
    give_gpu_names_as_bytes()
    return runner


@contextmanager
def tensorflow_or_stand_in() -> Iterator[Any]:
    """Provide TensorFlow or, if it is not installed or not wanted, the little of it that heareval needs for torch
    models."""
    # Without it, heareval.embeddings fails to import on a machine without TensorFlow, even for torch models. The
    # stand-in is removed once heareval is imported, so that other code finds TensorFlow as it is, missing or not.
    if os.environ.get(NO_TENSORFLOW) != "1":
        try:
            tensorflow = import_module("tensorflow")
        except ModuleNotFoundError as error:
            if error.name != "tensorflow":
                raise
            print("TensorFlow is not installed: heareval can embed only with torch models", file=sys.stderr, flush=True)
        else:
            with gpu_without_tensorflow(tensorflow):
                yield tensorflow
            return
    stand_in: Any = ModuleType("tensorflow", "What heareval needs of TensorFlow for torch models.")
    stand_in.__spec__ = ModuleSpec("tensorflow", loader=None)
    stand_in.Module = type("Module", (), {"__doc__": "The class of TensorFlow models, which has no instances."})
    stand_in.test = SimpleNamespace(is_gpu_available=lambda **_: True)  # no TensorFlow model can exist
    sys.modules["tensorflow"] = stand_in
    try:
        yield stand_in
    finally:
        del sys.modules["tensorflow"]


@contextmanager
def gpu_without_tensorflow(tensorflow: Any) -> Iterator[None]:
    """Let torch use a GPU that ``tensorflow`` does not see, and print a line about it."""

    # Without it, heareval.embeddings.runner raises at import if torch sees a GPU and TensorFlow does not, as without
    # GPU support or with another CUDA. heareval only asks if torch sees a GPU. is_gpu_available, deprecated since
    # TensorFlow 2.1, would also allocate the GPU's memory.
    def yes(**_: object) -> bool:
        if not tensorflow.config.list_physical_devices("GPU"):
            print("TensorFlow sees no GPU: only torch models use it", file=sys.stderr, flush=True)
        return True

    original = getattr(tensorflow.test, "is_gpu_available", None)
    tensorflow.test.is_gpu_available = yes
    try:
        yield
    finally:
        if original is not None:
            tensorflow.test.is_gpu_available = original


def give_gpu_names_as_bytes() -> None:
    """Give heareval the GPU's name as bytes, which it decodes."""
    # Without it, `device_name` fails after the first task with "'str' object has no attribute 'decode'" with pynvml and
    # nvidia-ml-py from 11.5 on.
    gpu_max_mem: Any = import_module("heareval.gpu_max_mem")
    original = getattr(gpu_max_mem, "nvmlDeviceGetName", None)
    if original is None:  # torch sees no GPU, so heareval did not import pynvml
        return

    def name(handle: Any) -> bytes:
        found = original(handle)
        return found.encode("utf-8") if isinstance(found, str) else found

    gpu_max_mem.nvmlDeviceGetName = name


def allow_checkpoint_classes() -> None:
    """Let torch load the classes and functions of heareval's grids from a probe's checkpoint, and no others."""
    # Without it, torch from 2.6 on refuses heareval's own checkpoints ("Weights only load failed"), unless its check
    # is disabled for all files with TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD. torch before 2.4 has neither.
    import torch

    probes = import_module("heareval.predictions.task_predictions")
    grids = (probes.PARAM_GRID, probes.FAST_PARAM_GRID, probes.FASTER_PARAM_GRID)
    noted = {value for grid in grids for values in grid.values() for value in values if callable(value)}
    if hasattr(torch.serialization, "add_safe_globals"):
        torch.serialization.add_safe_globals(list(noted))


def let_the_epoch_be_set() -> None:
    """Make ``trainer.fit_loop.current_epoch = epoch`` set the epoch of pytorch-lightning's trainer."""
    # Without it, event tasks fail in their test with KeyError on pytorch-lightning 1.9.5: heareval sets the epoch whose
    # post-processing it needs, but since 1.6 the trainer reads it elsewhere and stays after the last epoch.
    fit_loop: Any = import_module("pytorch_lightning.loops").FitLoop
    if hasattr(fit_loop, "current_epoch"):
        return

    def get(self: Any) -> int:
        return self.epoch_progress.current.completed

    def put(self: Any, epoch: int) -> None:
        self.epoch_progress.current.completed = epoch

    fit_loop.current_epoch = property(get, put)


def register_jaccard() -> None:
    """Add ``jaccard_micro``, ``jaccard_macro`` and ``jaccard_samples`` to the scores of scene tasks."""
    # Without it, heareval, which has no such score in any version, fails with KeyError on a task that names it.
    score = import_module("heareval.score")

    def compute(self: Any, predictions: Any, targets: Any, **_: object) -> float:
        average = self.name.removeprefix("jaccard_")
        return metrics.jaccard(targets > THRESHOLD, predictions > THRESHOLD, average)

    for average in metrics.JACCARD_AVERAGES:
        name = f"jaccard_{average}"
        score.available_scores[name] = type(name, (score.ScoreFunction,), {"name": name, "_compute": compute})


if __name__ == "__main__":
    main()
