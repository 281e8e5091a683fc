"""Read what heareval's prediction runner leaves behind, without trusting it.

heareval pickles a dictionary of tensors. Opening a pickle can run any code, and result files are passed around, so they
are opened by a reader that rebuilds dictionaries of tensors and refuses everything else.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.files import read_json_object
from sonyc_tasks.scores import metrics
from sonyc_tasks.scores.result_checks import (
    AGAIN,
    SCORES,
    check_one_weight_file,
    check_results,
    check_targets,
    class_names,
)
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK

#: Views of a model in the order of the table. heareval puts ``load_model``'s options into the name of the folder.
VIEWS = ("joint", "private", "shared", "frontend")
_VIEW_OPTION = re.compile(rf"-view=({'|'.join(VIEWS)})(?=-|$)")

_PREDICTIONS = "test.predictions.pkl"
#: heareval's own score of a task, to compare ours with: its key, and how we compute it.
_HEAREVAL_SCORE = {
    SOURCE_TASK: ("test_mAP", metrics.mean_average_precision),
    SENSOR_TASK: ("test_top1_acc", metrics.accuracy),
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """A probe's answers on the test clips of one task.

    Attributes:
        target: bool [clip, class].
        prediction: Probabilities [clip, class].
        classes: Names of the classes; empty if the folder of the results does not have them.
    """

    target: np.ndarray
    prediction: np.ndarray
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def names(self, which: np.ndarray) -> str:
        """List the classes of a mask [class], for a sentence."""
        names = self.classes or [f"class {number}" for number in range(len(which))]
        return ", ".join(name for name, one in zip(names, which, strict=True) if one)


@dataclass(frozen=True)
class HearevalScore:
    """heareval's own score of one task.

    Attributes:
        metric: The first score of the task's evaluation.
        values: Its value on each test split, which is "test" or the folds.
        larger_is_better: Whether larger values are better.
    """

    metric: str
    values: dict[str, float]
    larger_is_better: bool

    @property
    def value(self) -> float:
        """The mean over folds, in which heareval skips NaN."""
        values = [value for value in self.values.values() if not math.isnan(value)] or [math.nan]
        return math.fsum(values) / len(values)

    @property
    def is_event_task(self) -> bool:
        """Whether the task labels sound events in time, not whole scenes; heareval's names of scores tell."""
        return self.metric.startswith(("event_", "segment_"))


def read_heareval_score(path: Path) -> HearevalScore:
    """Read heareval's ``test.predicted-scores.json``.

    Raises:
        ValueError: The file is something else.
    """
    noted = read_json_object(path, AGAIN)
    try:
        splits = [name for name, part in noted.items() if isinstance(part, dict) and "test_score" in part]
        keys = [key for key in noted[splits[0]] if key.startswith("test_") and key not in ("test_loss", "test_score")]
        values = {split: float(noted[split]["test_score"]) for split in splits}
        return HearevalScore(keys[0].removeprefix("test_"), values, noted.get("score_mode") != "min")
    except (ValueError, TypeError, IndexError):
        raise ValueError(f"{path} is not what heareval writes; {AGAIN}") from None


#: Model (module and options other than the view) → view → task name → predictions.
Results = dict[str, dict[str, dict[str, Predictions]]]


def read_scores(embeddings_dir: str | Path) -> Results:
    """Read the finished SONYC results in ``<embeddings_dir>/<module>[-option=value…]/<task>/test.predictions.pkl``.

    Tasks without results and other tasks are skipped.

    Raises:
        ValueError: There are no results; a file is not what heareval writes; predictions do not give heareval's score
            next to them (files of two runs); or results do not belong together (see `result_checks.check_results`,
            which also warns).
    """
    root = require_folder(embeddings_dir)
    results: Results = {}
    places: dict[str, dict[str, Path]] = {}
    for file in sorted(root.glob(f"*/*/{_PREDICTIONS}")):
        task = next((name for name in _HEAREVAL_SCORE if file.parent.name.startswith(f"{name}-")), None)
        if task is None or not (file.parent / SCORES).is_file():
            continue
        model, view = split_model_name(file.parent.parent.name)
        tasks = results.setdefault(model, {}).setdefault(view, {})
        if task in tasks:
            raise ValueError(f"{file.parent.parent} has results of two versions of {task}; move one of them away")
        tasks[task] = load_predictions(file)
        _check_score(file, task, tasks[task])
        places.setdefault(file.parent.parent.name, {})[file.parent.name] = file.parent
    if not results:
        raise ValueError(
            f"there are no finished results of {SOURCE_TASK} or {SENSOR_TASK} in {root}/<module>/<task>/; first run "
            f"python -m heareval.predictions.runner {root}/*/*"
        )
    check_results(places)
    for model in results:
        check_one_weight_file(
            folder for name, tasks in places.items() if split_model_name(name)[0] == model for folder in tasks.values()
        )
    return results


def require_folder(embeddings_dir: str | Path) -> Path:
    """Return heareval's folder of embeddings; ValueError if it is missing."""
    if not Path(embeddings_dir).is_dir():
        raise ValueError(
            f"there is no folder {embeddings_dir}; give heareval's --embeddings-dir, which is embeddings by default"
        )
    return Path(embeddings_dir)


def split_model_name(folder: str) -> tuple[str, str]:
    """Split the name of a folder of embeddings into (model, view).

    >>> split_model_name("hear_multiview-view=private")
    ('hear_multiview', 'private')
    >>> split_model_name("hear_multiview-view=shared-precision=bf16")
    ('hear_multiview-precision=bf16', 'shared')
    >>> split_model_name("hear_multiview")
    ('hear_multiview', 'joint')
    """
    option = _VIEW_OPTION.search(folder)
    return _VIEW_OPTION.sub("", folder, count=1), option[1] if option else "joint"


def load_predictions(path: str | Path) -> Predictions:
    """Open one ``test.predictions.pkl`` safely.

    Raises:
        ValueError: The file holds anything but the tensors of a scene task, or does not match heareval's copy of the
            split next to it.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = _TensorUnpickler(stream).load()
        target, prediction = (np.asarray(content[key].numpy()) for key in ("target", "prediction"))
    except _RefusedError as error:
        raise ValueError(
            f"{path} holds {error}, which does not belong in the result of a scene task; {AGAIN}"
        ) from None
    except Exception as error:  # a broken pickle can raise anything
        raise ValueError(f"{path} is not the result of a scene task ({error!r}); {AGAIN}") from None
    if target.ndim != 2 or target.shape != prediction.shape or not target.size:
        raise ValueError(
            f"{path} has targets {target.shape} and predictions {prediction.shape}, not both [clip, class]; {AGAIN}"
        )
    if not np.isfinite(prediction).all():
        raise ValueError(f"{path} has predictions that are not finite; embed the task and train the probe again")
    check_targets(path.parent, path.name.removesuffix(".predictions.pkl"), target > 0.5)
    classes = class_names(path.parent) or ()
    return Predictions(target > 0.5, prediction.astype(np.float64), classes if len(classes) == target.shape[1] else ())


class _RefusedError(Exception):
    """A pickle refers to something that is not part of a tensor."""


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that knows only the three names that a pickled CPU tensor refers to."""

    def find_class(self, module: str, name: str) -> Any:
        import torch

        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            # torch's own function opens the inner bytes as any pickle; this one opens only tensors.
            return lambda data: torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise _RefusedError(f"a reference to {module}.{name}")


def of_two_runs(scores: Path, metric: str, value: float, predictions: Path) -> ValueError:
    """Return the error for a score that does not match the predictions next to it."""
    return ValueError(
        f"{scores} gives {metric} = {value}, but {predictions.name} next to it does not; they are from two runs, so "
        "delete both and prediction-done.json, and run heareval again"
    )


def _check_score(file: Path, task: str, predictions: Predictions) -> None:
    """Compare the predictions in ``file`` with heareval's score next to it."""
    key, ours = _HEAREVAL_SCORE[task]
    scores = file.parent / SCORES
    noted = read_json_object(scores, AGAIN)
    try:
        value = float(noted["test"][key])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{scores} is not heareval's result for {task}; {AGAIN}") from None
    if not abs(ours(predictions.target, predictions.prediction) - value) < 1e-3:
        raise of_two_runs(scores, key, value, file)
