"""Fair comparisons: each side in a fresh process of its own with nothing set in its environment, by turns."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from training.probes.heareval_jobs import die_with_parent

#: Set by the Makefile or by a user who tunes; a user who has just installed the package has none of it.
TUNED = ("MALLOC_", "OMP_", "MKL_", "KMP_", "GOMP_", "ONEDNN_", "DNNL_", "HEAR_MULTIVIEW_", "TQDM_", "LD_PRELOAD")
#: A repeat on request: returns what was measured, by name.
Repeat = Callable[[], dict[str, Any]]
#: What prepares a `Repeat`, and its arguments.
Comparison = tuple[Callable[..., Repeat], dict[str, Any]]


def environment() -> dict[str, str]:
    """This process's, without what is `TUNED`; modules are found where this one finds them."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(TUNED)}
    return {**plain, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Side:
    """A process that prepares ``module.function(**arguments)`` once, and then repeats what that returned on request.

    The function returns a `Repeat`; what that returns travels as JSON.
    """

    def __init__(self, function: Callable[..., Repeat], **arguments: Any) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed on exit; a pipe that nobody reads would fill up
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", __name__, function.__module__, function.__name__],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            preexec_fn=die_with_parent,
        )
        self._name = function.__name__
        self._send(json.dumps(arguments))
        self._answer()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def repeat(self) -> dict[str, Any]:
        """One more.

        Raises:
            ValueError: the process failed; the message has its last line.
        """
        self._send("go")
        return self._answer()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: the answer will say why
            print(line, file=self._process.stdin, flush=True)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no output"])[-1]
            raise ValueError(f"the benchmark's process {self._name} failed: {last}")
        return json.loads(line)


def by_turns(sides: Sequence[Comparison], repeats: int, *, rehearse: bool = True) -> list[dict[str, Any]]:
    """Each of the ``sides`` (a function and its arguments, see `Side`) ``repeats`` times, in turns, after one that does
    not count, unless ``rehearse`` is False: of each the medians of what was measured."""
    with ExitStack() as stack:
        running = [stack.enter_context(Side(function, **arguments)) for function, arguments in sides]
        turns = [[side.repeat() for side in running] for _ in range(repeats + rehearse)][int(rehearse) :]
    columns = zip(*turns, strict=True)
    return [{name: statistics.median(one[name] for one in column) for name in column[0]} for column in columns]


def serve(module: str, function: str) -> None:
    """The other end of `Side`. What the code measured prints goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    repeat = getattr(importlib.import_module(module), function)(**json.loads(sys.stdin.readline()))
    print("{}", file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(repeat()), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
