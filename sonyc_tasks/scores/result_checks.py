"""Whether heareval's results may stand beside each other: of one build of a task, and of one model under one name.

heareval copies a task's metadata, vocabulary and splits beside the embeddings, so what a result was computed on is
known of stock heareval's folders too. What made the embeddings is known where the launcher left its record
(:mod:`sonyc_tasks.launcher.embedding_record`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.launcher.embedding_record import FILE as RECORD
from sonyc_tasks.launcher.embedding_record import PROBE_RECORD, EmbeddingRecord, file_digest, labels_digest

METADATA, VOCABULARY = "task_metadata.json", "labelvocabulary.csv"
#: What heareval reads of the metadata, and the build record. The rest describes.
_READ = (
    *("task_name", "version", "embedding_type", "prediction_type", "split_mode", "splits", "sample_duration"),
    *("evaluation", "use_scoring_for_early_stopping", "evaluation_params", "build"),
)
#: Seconds that a result may be older than its embeddings: a copy of a folder does not always keep the times.
_COPIED_WITHIN = 60


def check_results(modules: Mapping[str, Mapping[str, Path]]) -> None:
    """Check the folders of results, module → task → folder, before any of them is scored.

    Warns, by folder, of what nothing tells: a record that is missing or of another task, results that are older than
    their embeddings, probes that an undefined score has stopped.

    Raises:
        ValueError: the folders of one task are of different builds, those of one module of different models, or results
            are not of the embeddings beside them; the message names the folders and what differs.
    """
    builds: dict[str, list[Path]] = {}
    for tasks in modules.values():
        for task, folder in tasks.items():
            builds.setdefault(task, []).append(folder)
    for folders in builds.values():
        _agree(folders, _build, _TWO_BUILDS)
    for tasks in modules.values():
        _agree(tasks.values(), _model, _TWO_MODELS)
    for module, tasks in modules.items():
        _warn_without_record(module, list(tasks.values()))
        for folder in tasks.values():
            _check_own_record(folder)
            _warn_of_stopped_probes(folder)


def check_one_weight_file(folders: Iterable[Path]) -> None:
    """Raise ValueError if the folders, of several views of one model, are of different modules or weight files.

    The tensors themselves cannot be compared, as a view loads what it needs.
    """
    _agree(folders, _model_of_all_views, _TWO_MODELS)


def check_targets(folder: Path, split: str, target: np.ndarray) -> None:
    """Raise ValueError if ``target``, bool [clip, class], is not what the copy of the split beside it says."""
    classes, clips = class_names(folder), _read(folder / f"{split}.json")
    if classes is None or clips is None:
        return
    places = {name: place for place, name in enumerate(classes)}
    expected: Counter[bytes] = Counter()
    for labels in clips.values():
        if not isinstance(labels, list) or not {str(label) for label in labels} <= places.keys():
            return  # names that pandas reads otherwise: the folder of the task tells more
        row = np.zeros(len(classes), bool)
        row[[places[str(label)] for label in labels]] = True
        expected[row.tobytes()] += 1
    if target.shape[1] != len(classes) or Counter(row.tobytes() for row in np.ascontiguousarray(target)) != expected:
        raise ValueError(
            f"{folder / f'{split}.predictions.pkl'} is not of the clips and labels of {split}.json beside it; they are "
            "of two builds of the task, so embed and probe it again"
        )


def class_names(folder: Path) -> tuple[str, ...] | None:
    """The classes of a task in the order of the predictions' columns; None if its folder does not tell."""
    try:
        rows = list(csv.reader(io.StringIO((folder / VOCABULARY).read_text(encoding="utf-8"))))
        names = {int(index): label for index, label in filter(None, rows[1:])}
    except (OSError, ValueError, csv.Error):
        return None
    return tuple(names[index] for index in range(len(names))) if names.keys() == set(range(len(names))) else None


_TWO_BUILDS = (
    "{} and {} are of different builds of the task, which cannot be compared: they differ in {}; embed and probe both "
    "on one task folder, or move one of them away"
)
_TWO_MODELS = (
    "{} and {} go by the name of one model and are of two: their records differ in {}; embed both with the same model, "
    "or move one of them away"
)


def _agree(folders: Iterable[Path], parts: Callable[[Path], dict[str, Any]], sentence: str) -> None:
    """Raise ValueError if a part of a folder differs from that of the first folder that has it."""
    known: dict[str, tuple[Path, Any]] = {}
    for folder in folders:
        own = parts(folder)
        first = {name: known.setdefault(name, (folder, content)) for name, content in own.items()}
        different = [name for name, (_, content) in first.items() if content != own[name]]
        if different:
            raise ValueError(sentence.format(first[different[0]][0], folder, ", ".join(different)))


def _build(folder: Path) -> dict[str, Any]:
    """What tells the build of a task, of what there is of it in a folder of results."""
    parts: dict[str, Any] = {}
    metadata = _read(folder / METADATA)
    if metadata is not None:
        parts = {f"{key} of {METADATA}": metadata.get(key) for key in _READ}
        build = metadata.get("build")
        if isinstance(build, dict):  # a build for other sample rates, too, is of the same audio at each of them
            parts[f"build of {METADATA}"] = {name: part for name, part in build.items() if name != "sample_rates"}
        for split in metadata.get("splits", ()):
            clips = _read(folder / f"{split}.json")
            if clips is not None:  # in their order, which is that of the probes' batches
                parts[f"{split}.json"] = hashlib.sha256(json.dumps(clips).encode()).digest()
    classes = class_names(folder)
    if classes is not None:
        parts[VOCABULARY] = classes
    record = EmbeddingRecord.read(folder)
    if record is not None:
        parts[f"the audio at {record.sample_rate} Hz"] = record.task.get("audio")
    return parts


def _model(folder: Path) -> dict[str, Any]:
    record = EmbeddingRecord.read(folder)
    return (
        {} if record is None else {name: getattr(record, name) for name in ("module", "version", "weights", "options")}
    )


def _model_of_all_views(folder: Path) -> dict[str, Any]:
    record = EmbeddingRecord.read(folder)
    if record is None:
        return {}
    parts = {name: getattr(record, name) for name in ("module", "version")}
    return parts | ({"weight file": record.weights["file"]} if "file" in record.weights else {})


def _warn_without_record(module: str, folders: Sequence[Path]) -> None:
    without = [folder for folder in folders if not (folder / RECORD).is_file()]
    if without:
        tasks = ", ".join(sorted(folder.name for folder in without))
        _warn(
            f"{without[0].parent}: nothing tells what made the embeddings of {tasks}, as there is no {RECORD}; "
            "python -m sonyc_tasks.heareval writes one"
        )
    bare = [folder for folder in folders if not (folder / METADATA).is_file()]
    if bare:
        tasks = ", ".join(sorted(folder.name for folder in bare))
        _warn(f"{bare[0].parent}: nothing tells of which build of the task {tasks} is, as there is no {METADATA}")


def _check_own_record(folder: Path) -> None:
    """Whether the results in ``folder`` are of the embeddings there, and these of the task there."""
    record = EmbeddingRecord.read(folder)
    probed = _read(folder / PROBE_RECORD)
    if record is not None and probed is not None and probed.get("embeddings") != file_digest(folder / RECORD):
        raise ValueError(
            f"the results in {folder} are of other embeddings than {RECORD} beside them tells of; delete "
            f"prediction-done.json and {PROBE_RECORD} there, and probe it again"
        )
    if record is not None and (folder / METADATA).is_file() and record.task.get("labels") != labels_digest(folder):
        _warn(f"{folder}: {RECORD} is of another build of the task than the one that lies there; embed it again")
    results = [path.stat().st_mtime for path in folder.glob("*.predictions.pkl")]
    made = [path.stat().st_mtime for path in (*folder.glob("*.embeddings.npy"), *folder.glob(RECORD))]
    if probed is None and results and made and min(results) + _COPIED_WITHIN < max(made):
        _warn(f"{folder}: the results are older than the embeddings beside them; probe it again if these have changed")


def _warn_of_stopped_probes(folder: Path) -> None:
    for name, part in (_read(folder / "test.predicted-scores.json") or {}).items():
        value = part.get("validation_score") if isinstance(part, dict) else None
        if isinstance(value, float) and not math.isfinite(value):
            _warn(
                f"{folder}: heareval stopped the probe of {name} as its validation score was undefined or infinite "
                f"({value}), so its test score means little; python -m sonyc_tasks validate tells why"
            )


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not what heareval writes; compute it again with heareval")
    return content


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
