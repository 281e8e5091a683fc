"""Start unmodified heareval 2021.1.3 on machines and library versions of today.

::

    python -m sonyc_tasks.heareval embeddings …     for  python -m heareval.embeddings.runner …
    python -m sonyc_tasks.heareval predictions …    for  python -m heareval.predictions.runner …

with the same arguments, for any HEAR module; a ``+`` between the arguments of several calls makes them one after the
other in one process, which saves the seconds that heareval's imports take. Nothing of heareval is changed on disk: what
today's libraries lack for it is put in place in this process, one function of this module each, before its command is
called. Besides that, the three averages of the Jaccard index become scores that a task's ``evaluation`` may name.

heareval checks little, and late. What would end it after hours, or give a score that means nothing, is refused before
any work, in one sentence: see `sonyc_tasks.launcher.embedding_guard` and `sonyc_tasks.launcher.prediction_guard`.

``import heareval`` is the installed package here too, as imports in this project are absolute.
"""

from __future__ import annotations

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of heareval's commands, once or several times; exits, as heareval's own commands do, where one fails."""
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
    """The arguments of each call.

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
    """heareval's click command of that name, `prepared`, with our checks around the function that it calls."""
    runner = copy(prepared(command))
    guard = embedding_guard if command == "embeddings" else prediction_guard
    runner.callback = partial(guard.guarded, runner.callback)
    return runner


def prepared(command: str) -> Any:
    """heareval's click command of that name, with everything in place that it needs."""
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
    """TensorFlow, or, where it is not installed, the little of it that heareval asks for before it meets a model."""
    # Without it, heareval.embeddings ends at its first import on a machine without TensorFlow of any version, torch
    # model or not. The stand-in goes when heareval is imported, so that others still find TensorFlow missing.
    try:
        tensorflow = import_module("tensorflow")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
    else:
        with gpu_without_tensorflow(tensorflow):
            yield tensorflow
        return
    print("TensorFlow is not installed: heareval can embed with torch models only", file=sys.stderr, flush=True)
    stand_in: Any = ModuleType("tensorflow", "What heareval asks of TensorFlow, for torch models.")
    stand_in.__spec__ = ModuleSpec("tensorflow", loader=None)
    stand_in.Module = type("Module", (), {"__doc__": "The class of TensorFlow models: no object is one."})
    stand_in.test = SimpleNamespace(is_gpu_available=lambda **_: True)  # there is no model that could miss it
    sys.modules["tensorflow"] = stand_in
    try:
        yield stand_in
    finally:
        del sys.modules["tensorflow"]


@contextmanager
def gpu_without_tensorflow(tensorflow: Any) -> Iterator[None]:
    """Let torch use a GPU that ``tensorflow`` does not see; a line says so."""

    # Without it, heareval.embeddings.runner raises at import where torch sees a GPU and TensorFlow none: any version
    # without GPU support or for another CUDA. heareval asks only where torch sees one. is_gpu_available, deprecated
    # since TensorFlow 2.1, would also take the GPU's memory.
    def yes(**_: object) -> bool:
        if not tensorflow.config.list_physical_devices("GPU"):
            print("TensorFlow sees no GPU: torch models use it, others do not", file=sys.stderr, flush=True)
        return True

    original = getattr(tensorflow.test, "is_gpu_available", None)
    tensorflow.test.is_gpu_available = yes
    try:
        yield
    finally:
        if original is not None:
            tensorflow.test.is_gpu_available = original


def give_gpu_names_as_bytes() -> None:
    """Give heareval the GPU's name in the type that it decodes."""
    # Without it, `device_name` fails after the first task with "'str' object has no attribute 'decode'" on pynvml and
    # nvidia-ml-py from 11.5 on.
    gpu_max_mem: Any = import_module("heareval.gpu_max_mem")
    original = getattr(gpu_max_mem, "nvmlDeviceGetName", None)
    if original is None:  # torch sees no GPU, and heareval has not asked for pynvml
        return

    def name(handle: Any) -> bytes:
        found = original(handle)
        return found.encode("utf-8") if isinstance(found, str) else found

    gpu_max_mem.nvmlDeviceGetName = name


def allow_checkpoint_classes() -> None:
    """Let torch load what heareval notes in a probe's checkpoint: the classes and functions of its grids, no others."""
    # Without it, torch from 2.6 on refuses heareval's own checkpoints ("Weights only load failed"), unless its check
    # is switched off for every file with TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD. torch before 2.4 has neither.
    import torch

    probes = import_module("heareval.predictions.task_predictions")
    grids = (probes.PARAM_GRID, probes.FAST_PARAM_GRID, probes.FASTER_PARAM_GRID)
    noted = {value for grid in grids for values in grid.values() for value in values if callable(value)}
    if hasattr(torch.serialization, "add_safe_globals"):
        torch.serialization.add_safe_globals(list(noted))


def let_the_epoch_be_set() -> None:
    """Make ``trainer.fit_loop.current_epoch = epoch`` set the epoch of pytorch-lightning's trainer."""
    # Without it, event tasks end at their test with KeyError on pytorch-lightning 1.9.5: heareval sets the epoch whose
    # post-processing is to be used, but since 1.6 the trainer reads it elsewhere, and stays at the one after the last.
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
    # Without it, heareval, which in no version has this score, ends with KeyError on a task whose evaluation names it.
    score = import_module("heareval.score")

    def compute(self: Any, predictions: Any, targets: Any, **_: object) -> float:
        average = self.name.removeprefix("jaccard_")
        return metrics.jaccard(targets > THRESHOLD, predictions > THRESHOLD, average)

    for average in metrics.JACCARD_AVERAGES:
        name = f"jaccard_{average}"
        score.available_scores[name] = type(name, (score.ScoreFunction,), {"name": name, "_compute": compute})


if __name__ == "__main__":
    main()
