"""Read what heareval's prediction runner leaves behind, without trusting it.

heareval pickles a dictionary of tensors. A pickle can run any code when it is opened, so result files, which people
pass around, are opened by a reader that can rebuild dictionaries of tensors and refuses everything else.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.scores import metrics
from sonyc_tasks.scores.result_checks import check_one_weight_file, check_results, check_targets, class_names
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK

#: Views of a model in the order of the table. heareval puts ``load_model``'s options into the name of the folder.
VIEWS = ("joint", "private", "shared", "frontend")
_VIEW_OPTION = re.compile(rf"-view=({'|'.join(VIEWS)})(?=-|$)")

_PREDICTIONS, _SCORES = "test.predictions.pkl", "test.predicted-scores.json"
#: heareval's own score of a task, to hold ours against: its key, and how we compute it.
_OWN_SCORE = {
    SOURCE_TASK: ("test_mAP", metrics.mean_average_precision),
    SENSOR_TASK: ("test_top1_acc", metrics.accuracy),
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """A probe's answers on the test clips of one task, both [clip, class]: bool targets, predictions in 0 … 1.

    ``classes``: their names; empty where the folder of the results does not tell.
    """

    target: np.ndarray
    prediction: np.ndarray
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def names(self, which: np.ndarray) -> str:
        """The classes of a mask [class], for a sentence."""
        names = self.classes or [f"class {number}" for number in range(len(which))]
        return ", ".join(name for name, one in zip(names, which, strict=True) if one)


#: Model (module and options other than the view) → view → task name → predictions.
Results = dict[str, dict[str, dict[str, Predictions]]]


def read_scores(embeddings_dir: str | Path) -> Results:
    """The finished SONYC results below ``embeddings_dir``: ``<module>[-option=value…]/<task>/test.predictions.pkl``.

    Tasks without results and tasks of others are passed over. Raises ValueError if nothing is left, if a file is not
    what heareval writes, or does not give the score that heareval noted beside it (files of two different runs), and
    where results do not belong together (see :func:`sonyc_tasks.scores.result_checks.check_results`, which also warns).
    """
    root = Path(embeddings_dir)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give heareval's --embeddings-dir, by default embeddings")
    results: Results = {}
    places: dict[str, dict[str, Path]] = {}
    for file in sorted(root.glob(f"*/*/{_PREDICTIONS}")):
        task = next((name for name in _OWN_SCORE if file.parent.name.startswith(f"{name}-")), None)
        if task is None or not (file.parent / _SCORES).is_file():
            continue
        model, view = split_model_name(file.parent.parent.name)
        tasks = results.setdefault(model, {}).setdefault(view, {})
        if task in tasks:
            raise ValueError(f"{file.parent.parent} has results of two versions of {task}; move one of them away")
        tasks[task] = load_predictions(file)
        _check_against(file.parent / _SCORES, task, tasks[task])
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


def split_model_name(folder: str) -> tuple[str, str]:
    """Name of a folder of embeddings → (model, view).

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

    Raises ValueError for anything but a scene task's tensors, and if they are not of the split beside them.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = _TensorUnpickler(stream).load()
        target, prediction = (np.asarray(content[key].numpy()) for key in ("target", "prediction"))
    except _RefusedError as error:
        raise ValueError(
            f"{path} holds {error}, which no result of a scene task does; compute it again with heareval"
        ) from None
    except Exception as error:  # a broken pickle can raise anything
        raise ValueError(f"{path} is no result of a scene task ({error!r}); compute it again with heareval") from None
    if target.ndim != 2 or target.shape != prediction.shape or not target.size:
        raise ValueError(
            f"{path} has targets {target.shape} and predictions {prediction.shape} where both should be [clip, class]; "
            "compute it again with heareval"
        )
    if not np.isfinite(prediction).all():
        raise ValueError(f"{path} has predictions that are not finite; train the probe again on sound embeddings")
    check_targets(path.parent, path.name.removesuffix(".predictions.pkl"), target > 0.5)
    classes = class_names(path.parent) or ()
    return Predictions(target > 0.5, prediction.astype(np.float64), classes if len(classes) == target.shape[1] else ())


class _RefusedError(Exception):
    """A pickle asks for something that is not part of a tensor."""


class _TensorUnpickler(pickle.Unpickler):
    """Knows the three names that a pickled CPU tensor refers to, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        import torch

        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            # torch's own function opens the inner bytes as a pickle of any kind; this opens tensors only.
            return lambda data: torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise _RefusedError(f"a reference to {module}.{name}")


def _check_against(scores: Path, task: str, predictions: Predictions) -> None:
    key, ours = _OWN_SCORE[task]
    try:
        noted = json.loads(scores.read_text(encoding="utf-8"))["test"][key]
        agrees = abs(ours(predictions.target, predictions.prediction) - float(noted)) < 1e-3
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{scores} is no result of heareval for {task}; compute it again") from None
    if not agrees:
        raise ValueError(
            f"{scores} gives {key} = {noted}, and {_PREDICTIONS} beside it does not; they are of two runs, so delete "
            "both and prediction-done.json, and run heareval again"
        )
