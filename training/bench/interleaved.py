"""Fair comparisons: interleaved measurements of contenders, each in a fresh process with a clean environment."""

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

from sonyc_tasks.processes import die_with_parent

#: Prefixes of environment variables that the Makefile or a tuning user sets, but a new user does not.
TUNED = ("MALLOC_", "OMP_", "MKL_", "KMP_", "GOMP_", "ONEDNN_", "DNNL_", "HEAR_MULTIVIEW_", "TQDM_", "LD_PRELOAD")
#: Measures once, and returns the measured values by name.
Repeat = Callable[[], dict[str, Any]]
#: A function that prepares a `Repeat`, and its arguments.
Comparison = tuple[Callable[..., Repeat], dict[str, Any]]


def environment() -> dict[str, str]:
    """Return the environment of this process without the `TUNED` variables, and with its module search path."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(TUNED)}
    return {**plain, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Contender:
    """A process that calls ``function(**arguments)`` once, and the `Repeat` that it returns on each request.

    Results are sent as JSON. Use as a context manager, which ends the process.
    """

    def __init__(self, function: Callable[..., Repeat], **arguments: Any) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed on exit; an unread pipe would fill up
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

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def repeat(self) -> dict[str, Any]:
        """Measure once more.

        Returns:
            The measured values by name.

        Raises:
            ValueError: the process failed; the message has the last line of its errors.
        """
        self._send("go")
        return self._answer()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended, and `_answer` reports why
            print(line, file=self._process.stdin, flush=True)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no output"])[-1]
            raise ValueError(f"the benchmark process {self._name} failed ({last})")
        return json.loads(line)


def measure_interleaved(
    contenders: Sequence[Comparison], repeats: int, *, warm_up: bool = True
) -> list[dict[str, Any]]:
    """Measure contenders alternately, so that a change of the machine's load affects all of them.

    Args:
        contenders: functions with their arguments, see `Contender`.
        repeats: measurements of each.
        warm_up: precede these by one that does not count.

    Returns:
        For each contender, the median of each measured value; of words, the most frequent one.

    Raises:
        ValueError: a process failed.
    """
    with ExitStack() as stack:
        running = [stack.enter_context(Contender(function, **arguments)) for function, arguments in contenders]
        rounds = [[contender.repeat() for contender in running] for _ in range(repeats + warm_up)][int(warm_up) :]
    columns = zip(*rounds, strict=True)
    return [{name: _median([one[name] for one in column]) for name in column[0]} for column in columns]


def _median(values: Sequence[Any]) -> Any:
    """The median of numbers; of words, which name how something was measured, the most frequent one."""
    return statistics.mode(values) if isinstance(values[0], str) else statistics.median(values)


def serve(module: str, function: str) -> None:
    """Serve the requests of a `Contender`, as its process. Whatever the measured code prints goes to stderr.

    Args:
        module: module of the function.
        function: name of the function.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    repeat = getattr(importlib.import_module(module), function)(**json.loads(sys.stdin.readline()))
    print("{}", file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(repeat()), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
