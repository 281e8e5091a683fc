"""What the launcher checks around heareval's predictions runner.

Before the first probe is trained: that every folder holds complete and finite embeddings, that their number does not
end a probe, and that results which are there already are of these embeddings. Afterwards: whether a probe was stopped
because its score on the validation set was undefined. pytorch-lightning's early stopping does that without a word,
and heareval then scores whatever the probe was at that moment.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.launcher import embedding_record
from sonyc_tasks.launcher.embedding_guard import lone_row, rows_of
from sonyc_tasks.launcher.embedding_record import (
    DONE,
    PROBE_RECORD,
    EmbeddingRecord,
    file_digest,
    labels_digest,
    read_task,
    write_json,
)
from sonyc_tasks.launcher.hooks import DoubtfulError, one_sentence, replaced, say, warn

FORMAT = 1
#: heareval's own mark of a folder whose probes are finished.
PROBED = "prediction-done.json"
#: What of heareval's options changes its results.
SETTINGS = ("grid", "grid_points", "deterministic")


def guarded(runner: Callable[..., None], **options: Any) -> None:
    """``runner``, the function behind heareval's command, with everything of this module around it.

    Raises:
        SystemExit: something is wrong with a folder; a `DoubtfulError`, after all probes: with the result of one.
    """
    runners: Any = import_module("heareval.predictions.runner")
    tasks: Any = import_module("heareval.predictions.task_predictions")
    with one_sentence():
        run = PredictionRun(options, runners.task_predictions, tasks)
    with (
        replaced(runners, task_predictions=run.probe),
        replaced(tasks, task_predictions_train=run.train),
    ):
        runner(**options)
    run.judge()


class PredictionRun:
    """One call of heareval's predictions runner.

    options: of its command line. task_predictions: heareval's function that :meth:`probe` stands for. tasks: the
    module whose ``task_predictions_train`` :meth:`train` stands for.

    Raises:
        ValueError, FileNotFoundError: a folder cannot be probed, or what it has must not be taken for this result.
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
                warn(f"{folder} has no record of what embedded it: nobody can tell which model is probed")
            say(f"{folder}: to be probed")
        for folder in skipped:
            self._check_finished(folder)

    def _record(self, folder: Path) -> dict[str, Any]:
        """What determines the probes of ``folder``, as far as it is known before they are trained."""
        made = {"embeddings": _embeddings(folder), "labels": labels_digest(folder)}
        return {"format": FORMAT, **made, **self.settings}

    def _check_finished(self, folder: Path) -> None:
        """Say why ``folder`` is skipped.

        Raises:
            ValueError: it was probed otherwise than asked for now.
        """
        wanted, found = self._record(folder), _record_in(folder)
        if found is None:
            noted = _read(folder / PROBED) or {}
            found = {**wanted, **{name: noted[name] for name in SETTINGS if name in noted}}
            warn(f"{folder} was probed without a record: nobody can tell whether of these embeddings")
        words = {"embeddings": "the embeddings", "labels": "the task"}
        told = [
            words.get(name) or f"--{name.replace('_', '-')} ({found.get(name)} there, {value} now)"
            for name, value in wanted.items()
            if found.get(name) != value
        ]
        if told:
            raise ValueError(
                f"{folder} holds results of other probes, as these differ: {'; '.join(told)}. Delete {PROBED} and "
                f"{PROBE_RECORD} there to probe again"
            )
        say(f"{folder}: skipped, as it was probed already ({PROBED} is there)")
        if stopped := found.get("meaningless"):
            self.meaningless.append(f"{folder} ({stopped})")

    def probe(self, embedding_path: Path, **arguments: Any) -> None:
        """Stands for heareval's ``task_predictions``: the same, with a record of it and a word about stopped probes."""
        record = self._record(embedding_path)
        self._trained = []
        self._task_predictions(embedding_path=embedding_path, **arguments)
        if stopped := self._stopped(embedding_path):
            record["meaningless"] = stopped
            self.meaningless.append(f"{embedding_path} ({stopped})")
        write_json(record, embedding_path / PROBE_RECORD)

    def train(self, **arguments: Any) -> Any:
        """Stands for heareval's ``task_predictions_train``: the result is kept, with why it was stopped."""
        result = self._train(**arguments)
        # Now: heareval tests with the same trainer, which then has the scores of the test in their place.
        self._trained.append((arguments["data_splits"]["test"], result, stopped_by(result.trainer)))
        return result

    def _stopped(self, folder: Path) -> str:
        """Warn of probes that an undefined score stopped; why the result of ``folder`` means nothing, "" if it does."""
        stopped = [(result, why) for _, result, why in self._trained if why]
        for _, why in stopped:
            warn(f"{folder}: a probe was stopped {why}")
        first = self._trained[0][0]
        grid = [result for split, result, _ in self._trained if split == first]
        results = [self._sort(grid)[0], *(result for split, result, _ in self._trained if split != first)]
        # A finite best score is of a validation before the undefined one, and stands.
        reasons = [why for result, why in stopped if result in results and not math.isfinite(result.validation_score)]
        return f"stopped {reasons[0]}" if reasons else ""

    def judge(self) -> None:
        """End the call, if there are results that mean nothing.

        Raises:
            DoubtfulError: there are; the message names them.
        """
        if self.meaningless:
            raise DoubtfulError(
                f"error: these results mean nothing: {'; '.join(self.meaningless)}; give the task a first score that "
                "is defined on its validation set, and embed and probe it again"
            )


def probed(folder: Path) -> bool:
    """Whether ``folder`` has results that mean something, of the embeddings that are there.

    Raises:
        ValueError: a record is broken.
    """
    if not (folder / PROBED).exists():
        return False
    record = _record_in(folder)
    return record is None or (record["embeddings"] == _embeddings(folder) and not record.get("meaningless"))


def stopped_by(trainer: Any) -> str:
    """When and why pytorch-lightning's check of the monitored score ended the training; "" if it did not."""
    callback = trainer.early_stopping_callback
    value = float(trainer.callback_metrics[callback.monitor])
    if math.isfinite(value):
        return ""
    if math.isnan(value):
        why = "which it is where no clip, or every clip, has a class, or where no event is found or there to be found"
    else:
        why = "which it is where the probe tells a class apart without an error"
    score = callback.monitor.removeprefix("val_")
    return f"after epoch {callback.stopped_epoch + 1}, as its {score} on the validation set was {value}, {why}"


def check_finite(folder: Path, split: str) -> None:
    """Check the embeddings of one split.

    Raises:
        ValueError: the file is cut, or holds NaN or infinity.
    """
    path = folder / f"{split}.embeddings.npy"  # heareval's name; it has no header of numpy's
    rows, dim = json.loads((folder / f"{split}.embedding-dimensions.json").read_text(encoding="utf-8"))
    if not path.is_file() or path.stat().st_size != 4 * rows * dim:
        raise ValueError(f"{path} is not there or not whole; delete {folder} and embed the task again")
    embeddings = np.memmap(path, np.float32, "r", shape=(rows, dim))
    step = max(1, (1 << 24) // dim)
    broken = sum(
        int((~np.isfinite(embeddings[start : start + step]).all(axis=1)).sum()) for start in range(0, rows, step)
    )
    if broken:
        raise ValueError(
            f"{path} holds {broken} of {rows} embeddings that are not finite; correct the module, delete {folder} and "
            "embed the task again"
        )


def _embeddings(folder: Path) -> str | None:
    """What names the embeddings in ``folder``: the sha256 of their record; None where there is none."""
    record = folder / embedding_record.FILE
    return file_digest(record) if record.exists() else None


def _record_in(folder: Path) -> dict[str, Any] | None:
    """The record of the probes of ``folder``; None if it has none.

    Raises:
        ValueError: the file is no record.
    """
    record = _read(folder / PROBE_RECORD)
    if record is not None and (record.get("format") != FORMAT or not record.keys() >= {"embeddings", *SETTINGS}):
        raise ValueError(
            f"{folder / PROBE_RECORD} is no record of format {FORMAT}; delete it and {PROBED} to probe again"
        )
    return record


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no such file.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it to probe again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no JSON object; delete it to probe again")
    return content
