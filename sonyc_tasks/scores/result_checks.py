"""Check that heareval's results can be compared: one build of each task, and one model behind each name.

heareval copies a task's metadata, vocabulary and splits next to the embeddings, so results of stock heareval also say
what they were computed on. What made the embeddings is known if the launcher left its record
(`sonyc_tasks.launcher.embedding_record`).
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

from sonyc_tasks.files import file_digest, read_json_object
from sonyc_tasks.launcher.embedding_record import FILE as RECORD
from sonyc_tasks.launcher.embedding_record import PROBE_RECORD, EmbeddingRecord, labels_digest

METADATA, VOCABULARY = "task_metadata.json", "labelvocabulary.csv"
#: heareval's own scores of a task.
SCORES = "test.predicted-scores.json"
#: What to do about a broken file of heareval's.
AGAIN = "compute it again with heareval"
#: The keys of the metadata that heareval reads, and the build record. All others are descriptive.
_READ = (
    *("task_name", "version", "embedding_type", "prediction_type", "split_mode", "splits", "sample_duration"),
    *("evaluation", "use_scoring_for_early_stopping", "evaluation_params", "build"),
)
#: How many seconds older than its embeddings a result may be: copying a folder does not always keep the times.
_COPIED_WITHIN = 60


def check_results(modules: Mapping[str, Mapping[str, Path]]) -> None:
    """Check folders of results (module → task → folder) before any of them is scored.

    Warns about a record that is missing or belongs to another task, results that are older than their embeddings, and
    probes that were stopped by an undefined score.

    Raises:
        ValueError: The folders of one task are from different builds, those of one module from different models, or
            results belong to other embeddings than those next to them; the message names the folders and what differs.
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
    """Raise ValueError if folders, of several views of one model, are from different modules or weight files.

    The tensors cannot be compared, because each view loads only what it needs.
    """
    _agree(folders, _model_of_all_views, _TWO_MODELS)


def check_targets(folder: Path, split: str, target: np.ndarray) -> None:
    """Raise ValueError if ``target``, bool [clip, class], contradicts heareval's copy of the split next to it."""
    classes, clips = class_names(folder), _read(folder / f"{split}.json")
    if classes is None or clips is None:
        return
    places = {name: place for place, name in enumerate(classes)}
    expected: Counter[bytes] = Counter()
    for labels in clips.values():
        if not isinstance(labels, list) or not {str(label) for label in labels} <= places.keys():
            return  # pandas reads these names differently; only the task folder could tell
        row = np.zeros(len(classes), bool)
        row[[places[str(label)] for label in labels]] = True
        expected[row.tobytes()] += 1
    if target.shape[1] != len(classes) or Counter(row.tobytes() for row in np.ascontiguousarray(target)) != expected:
        raise ValueError(
            f"{folder / f'{split}.predictions.pkl'} does not match the clips and labels of {split}.json next to it; "
            "they are from two builds of the task, so embed and probe it again"
        )


def class_names(folder: Path) -> tuple[str, ...] | None:
    """Return the classes of a task in the order of the predictions' columns; None if its folder does not say."""
    try:
        rows = list(csv.reader(io.StringIO((folder / VOCABULARY).read_text(encoding="utf-8"))))
        names = {int(index): label for index, label in filter(None, rows[1:])}
    except (OSError, ValueError, csv.Error):
        return None
    return tuple(names[index] for index in range(len(names))) if names.keys() == set(range(len(names))) else None


_TWO_BUILDS = (
    "{} and {} are from different builds of the task and cannot be compared, as they differ in {}; embed and probe "
    "both on one task folder, or move one of them away"
)
_TWO_MODELS = (
    "{} and {} have the name of one model but are from two, as their records differ in {}; embed both with the same "
    "model, or move one of them away"
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
    """Return what identifies the build of a task, as far as a folder of results has it."""
    parts: dict[str, Any] = {}
    metadata = _read(folder / METADATA)
    if metadata is not None:
        parts = {f"{key} of {METADATA}": metadata.get(key) for key in _READ}
        build = metadata.get("build")
        if isinstance(build, dict):  # more sample rates do not change the audio at each of them
            parts[f"build of {METADATA}"] = {name: part for name, part in build.items() if name != "sample_rates"}
        for split in metadata.get("splits", ()):
            clips = _read(folder / f"{split}.json")
            if clips is not None:  # the order counts: it is that of the probes' batches
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
            "embed with python -m sonyc_tasks.heareval, which writes one"
        )
    bare = [folder for folder in folders if not (folder / METADATA).is_file()]
    if bare:
        tasks = ", ".join(sorted(folder.name for folder in bare))
        _warn(f"{bare[0].parent}: nothing tells which build of the task {tasks} is from, as there is no {METADATA}")


def _check_own_record(folder: Path) -> None:
    """Check that the results in ``folder`` belong to its embeddings, and these to its task."""
    record = EmbeddingRecord.read(folder)
    probed = _read(folder / PROBE_RECORD)
    if record is not None and probed is not None and probed.get("embeddings") != file_digest(folder / RECORD):
        raise ValueError(
            f"the results in {folder} belong to other embeddings than those of {RECORD}; delete prediction-done.json "
            f"and {PROBE_RECORD} there, and probe it again"
        )
    if record is not None and (folder / METADATA).is_file() and record.task.get("labels") != labels_digest(folder):
        _warn(f"{folder}: {RECORD} is from another build of the task; embed it again")
    results = [path.stat().st_mtime for path in folder.glob("*.predictions.pkl")]
    made = [path.stat().st_mtime for path in (*folder.glob("*.embeddings.npy"), *folder.glob(RECORD))]
    if probed is None and results and made and min(results) + _COPIED_WITHIN < max(made):
        _warn(f"{folder}: the results are older than the embeddings; probe it again if these have changed")


def _warn_of_stopped_probes(folder: Path) -> None:
    for name, part in (_read(folder / SCORES) or {}).items():
        value = part.get("validation_score") if isinstance(part, dict) else None
        if isinstance(value, float) and not math.isfinite(value):
            _warn(
                f"{folder}: heareval stopped the probe of {name} because its validation score was {value}, so its test "
                "score means little; run python -m sonyc_tasks validate on the task to see why"
            )


def _read(path: Path) -> dict[str, Any] | None:
    return read_json_object(path, AGAIN) if path.is_file() else None


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
