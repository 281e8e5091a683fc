"""Checks around heareval's predictions runner.

Before the first probe is trained: every folder has complete and finite embeddings, their number does not crash a probe,
and existing results belong to these embeddings. Afterwards: whether a probe was stopped because its validation score
was undefined. pytorch-lightning's early stopping does that silently, and heareval then scores the probe as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.files import file_digest, held_folder, read_json_object, write_json
from sonyc_tasks.launcher import embedding_record
from sonyc_tasks.launcher.embedding_guard import lone_row, rows_of
from sonyc_tasks.launcher.embedding_record import DONE, PROBE_RECORD, EmbeddingRecord, labels_digest, read_task
from sonyc_tasks.launcher.hooks import DoubtfulError, one_sentence, replaced, say, warn

FORMAT = 1
#: heareval's own mark of a folder whose probes are finished.
PROBED = "prediction-done.json"
#: Those of heareval's options that change its results.
SETTINGS = ("grid", "grid_points", "deterministic")


def guarded(runner: Callable[..., None], **options: Any) -> None:
    """Call ``runner``, the function behind heareval's command, with the checks of this module around it.

    Raises:
        SystemExit: Something is wrong with a folder; as a `DoubtfulError`, after all probes, with a result.
    """
    runners: Any = import_module("heareval.predictions.runner")
    tasks: Any = import_module("heareval.predictions.task_predictions")
    with ExitStack() as stack:
        for folder in sorted({*map(Path, options["task_dirs"])}):  # in one order, so that no two wait for each other
            if folder.is_dir():
                stack.enter_context(held_folder(folder))
        _guarded(runners, tasks, runner, options)


def _guarded(runners: Any, tasks: Any, runner: Callable[..., None], options: Mapping[str, Any]) -> None:
    """`guarded`, by the only command that writes to the folders."""
    with one_sentence():
        run = PredictionRun(options, runners.task_predictions, tasks)
    with replaced(runners, task_predictions=run.probe), replaced(tasks, task_predictions_train=run.train):
        runner(**options)
    run.judge()


class PredictionRun:
    """One call of heareval's predictions runner.

    Args:
        options: Those of its command line.
        task_predictions: heareval's function that `probe` replaces.
        tasks: The module whose ``task_predictions_train`` `train` replaces.

    Raises:
        ValueError, FileNotFoundError: A folder cannot be probed, or has results of something else.
    """

    def __init__(self, options: Mapping[str, Any], task_predictions: Callable[..., None], tasks: Any) -> None:
        self._task_predictions, self._train = task_predictions, tasks.task_predictions_train
        self._sort = tasks.sort_grid_points
        self.settings = {name: options[name] for name in SETTINGS}
        self.meaningless: list[str] = []
        self._trained: list[tuple[list[str], Any, str]] = []  # test split, result, why it was stopped
        skipped = []
        for folder in map(Path, options["task_dirs"]):
            if not folder.is_dir():
                raise FileNotFoundError(f"there is no folder {folder}; give folders of embedded tasks")
            metadata, _ = read_task(folder)
            if not (folder / DONE).exists():
                raise ValueError(f"{folder} has no complete embeddings; embed the task first")
            if (folder / PROBED).exists():
                skipped.append(folder)
                continue
            rows = rows_of(folder, metadata)
            if fault := lone_row(metadata, rows):
                raise ValueError(f"{folder}: {fault}")
            for split in metadata["splits"]:
                check_finite(folder, split)
            if EmbeddingRecord.read(folder) is None:
                warn(f"{folder} has no record of what embedded it; the probed model is unknown")
            say(f"{folder}: to be probed")
        for folder in skipped:
            self._check_finished(folder)

    def _record(self, folder: Path) -> dict[str, Any]:
        """Return what determines the probes of ``folder``, as far as it is known before training."""
        made = {"embeddings": _embeddings(folder), "labels": labels_digest(folder)}
        return {"format": FORMAT, **made, **self.settings}

    def _check_finished(self, folder: Path) -> None:
        """Say that ``folder`` is skipped.

        Raises:
            ValueError: It was probed with other settings or on other embeddings.
        """
        wanted, found = self._record(folder), _record_in(folder)
        if found is None:
            noted = read_json_object(folder / PROBED, _AGAIN)
            found = {**wanted, **{name: noted[name] for name in SETTINGS if name in noted}}
            warn(f"{folder} was probed without a record; its results may belong to other embeddings")
        words = {"embeddings": "the embeddings", "labels": "the task"}
        told = [
            words.get(name) or f"--{name.replace('_', '-')} ({found.get(name)} there, {value} now)"
            for name, value in wanted.items()
            if found.get(name) != value
        ]
        if told:
            raise ValueError(
                f"{folder} has results of other probes ({', '.join(told)} differ); delete {PROBED} and {PROBE_RECORD} "
                "there to probe again"
            )
        say(f"{folder}: skipped, already probed (it has {PROBED})")
        if stopped := found.get("meaningless"):
            self.meaningless.append(f"{folder} ({stopped})")

    def probe(self, embedding_path: Path, **arguments: Any) -> None:
        """Call heareval's ``task_predictions``, record it, and warn of stopped probes."""
        record = self._record(embedding_path)
        self._trained = []
        self._task_predictions(embedding_path=embedding_path, **arguments)
        if stopped := self._stopped(embedding_path):
            record["meaningless"] = stopped
            self.meaningless.append(f"{embedding_path} ({stopped})")
        write_json(embedding_path / PROBE_RECORD, record)

    def train(self, **arguments: Any) -> Any:
        """Call heareval's ``task_predictions_train``, and keep the result and why it was stopped."""
        result = self._train(**arguments)
        # Ask now: heareval tests with the same trainer, which then holds the scores of the test.
        self._trained.append((arguments["data_splits"]["test"], result, stopped_by(result.trainer)))
        return result

    def _stopped(self, folder: Path) -> str:
        """Warn of probes that an undefined score stopped.

        Returns:
            Why the result of ``folder`` is meaningless, or "".
        """
        stopped = [(result, why) for _, result, why in self._trained if why]
        for _, why in stopped:
            warn(f"{folder}: a probe was stopped {why}")
        first = self._trained[0][0]
        grid = [result for split, result, _ in self._trained if split == first]
        results = [self._sort(grid)[0], *(result for split, result, _ in self._trained if split != first)]
        # A finite best score comes from a validation before the undefined one, and is good.
        reasons = [why for result, why in stopped if result in results and not math.isfinite(result.validation_score)]
        return f"stopped {reasons[0]}" if reasons else ""

    def judge(self) -> None:
        """Raise if there are meaningless results.

        Raises:
            DoubtfulError: There are; the message names them.
        """
        if self.meaningless:
            raise DoubtfulError(
                f"error: these results are meaningless: {', '.join(self.meaningless)}; give the task a first score "
                "that is defined on its validation set, then embed and probe it again"
            )


def probed(folder: Path) -> bool:
    """Return whether ``folder`` has meaningful results of its embeddings.

    Raises:
        ValueError: A record is broken.
    """
    if not (folder / PROBED).exists():
        return False
    record = _record_in(folder)
    return record is None or (record["embeddings"] == _embeddings(folder) and not record.get("meaningless"))


def stopped_by(trainer: Any) -> str:
    """Return when and why pytorch-lightning's check of the monitored score ended the training; "" if it did not."""
    callback = trainer.early_stopping_callback
    value = float(trainer.callback_metrics[callback.monitor])
    if math.isfinite(value):
        return ""
    if math.isnan(value):
        why = "as happens if no clip or every clip has a class, or if no event exists or is found"
    else:
        why = "as happens if the probe recognises a class without any error"
    score = callback.monitor.removeprefix("val_")
    return f"after epoch {callback.stopped_epoch + 1} because {score} on the validation set was {value}, {why}"


def check_finite(folder: Path, split: str) -> None:
    """Check that the embeddings of one split are complete and finite.

    Raises:
        ValueError: They are not; the message names the file.
    """
    path = folder / f"{split}.embeddings.npy"  # heareval's name, though the file has no numpy header
    rows, dim = json.loads((folder / f"{split}.embedding-dimensions.json").read_text(encoding="utf-8"))
    if not path.is_file() or path.stat().st_size != 4 * rows * dim:
        raise ValueError(f"{path} is missing or incomplete; delete {folder} and embed the task again")
    embeddings = np.memmap(path, np.float32, "r", shape=(rows, dim))
    step = max(1, (1 << 24) // dim)
    broken = sum(
        int((~np.isfinite(embeddings[start : start + step]).all(axis=1)).sum()) for start in range(0, rows, step)
    )
    if broken:
        raise ValueError(
            f"{path}: {broken} of {rows} embeddings are not finite; correct the module, delete {folder} and embed the "
            "task again"
        )


def _embeddings(folder: Path) -> str | None:
    """Identify the embeddings in ``folder`` by the sha256 of their record; None if there is no record."""
    record = folder / embedding_record.FILE
    return file_digest(record) if record.exists() else None


_AGAIN = f"delete it and {PROBED} to probe again"


def _record_in(folder: Path) -> dict[str, Any] | None:
    """Read the record of the probes of ``folder``; None if there is none.

    Raises:
        ValueError: The file is not a record.
    """
    path = folder / PROBE_RECORD
    if not path.exists():
        return None
    record = read_json_object(path, _AGAIN)
    if record.get("format") != FORMAT or not record.keys() >= {"embeddings", *SETTINGS}:
        raise ValueError(f"{path} is not a record of format {FORMAT}; {_AGAIN}")
    return record
