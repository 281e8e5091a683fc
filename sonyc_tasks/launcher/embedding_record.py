"""A record of what made the embeddings of a task, kept next to them so that they are not mistaken for others.

heareval names a folder of embeddings by module, options and task, and skips it once it is finished. Another checkpoint
of the same module, or another build of the task, would then get the first one's scores. The launcher
(`sonyc_tasks.heareval`) therefore writes ``embedding_record.json`` into every folder that it embeds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from sonyc_tasks.files import is_plain_name, read_json_object, write_json

FILE = "embedding_record.json"
FORMAT = 1
#: The launcher's record of what was probed (`sonyc_tasks.launcher.prediction_guard`).
PROBE_RECORD = "prediction_record.json"
#: heareval's own mark of a folder whose embeddings are complete.
DONE = ".done.embeddings"


_AGAIN = "delete the folder that it lies in and embed the task again"


@dataclass(frozen=True)
class EmbeddingRecord:
    """What determines the embeddings of one task.

    Attributes:
        module: Name of the HEAR module.
        version: Version of the module or of its package, if it has one.
        weights: "tensors": sha256 of all tensors of the loaded model (`tensor_digest`); "file": sha256 of the file that
            ``--model`` named, if any.
        options: Those of ``--model-options``.
        sample_rate: In Hz, of the model and so of the audio.
        task: See `task_digest`.
        heareval: Version of heareval.
    """

    module: str
    version: str | None
    weights: Mapping[str, str]
    options: Mapping[str, Any]
    sample_rate: int
    task: Mapping[str, str]
    heareval: str

    @classmethod
    def read(cls, folder: str | Path) -> EmbeddingRecord | None:
        """Read the record of the embeddings in one task's ``folder``; None if there is none.

        Raises:
            ValueError: The file is broken, or has another format.
        """
        path = Path(folder) / FILE
        if not path.exists():
            return None
        content = read_json_object(path, _AGAIN)
        if content.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is not a record of format {FORMAT}; {_AGAIN}")
        if content.keys() != {field.name for field in fields(cls)} or not all(
            isinstance(content[name], dict) for name in ("weights", "options", "task")
        ):
            raise ValueError(f"{path} is incomplete; {_AGAIN}")
        return cls(**content)

    def write(self, folder: str | Path) -> None:
        """Write the record into ``folder``."""
        write_json(Path(folder) / FILE, {"format": FORMAT, **asdict(self)})


def differences(one: EmbeddingRecord, other: EmbeddingRecord) -> list[str]:
    """List in words what differs between two records; empty if the embeddings must be equal.

    A digest of ``weights`` that only one record has counts as a difference.
    """
    names = {"module": "the module", "version": "the module's version", "options": "the options"}
    found = [
        f"{name} ({_short(getattr(one, key))} there, {_short(getattr(other, key))} now)"
        for key, name in names.items()
        if getattr(one, key) != getattr(other, key)
    ]
    for key, name in {"tensors": "the weights", "file": "the weight file"}.items():
        if one.weights.get(key) != other.weights.get(key):
            found.append(f"{name} (sha256 {_short(one.weights.get(key))} there, {_short(other.weights.get(key))} now)")
    found += task_differences(one, other)
    if one.sample_rate != other.sample_rate:
        found.append(f"the sample rate ({one.sample_rate} Hz there, {other.sample_rate} Hz now)")
    if one.heareval != other.heareval:
        found.append(f"heareval's version ({one.heareval} there, {other.heareval} now)")
    return found


def task_differences(one: EmbeddingRecord, other: EmbeddingRecord) -> list[str]:
    """List in words what differs between the tasks of two records, whatever the models.

    Audio is compared only at the same sample rate; at another rate, the same clips are different files.
    """
    found = []
    if one.task.get("labels") != other.task.get("labels"):
        found.append("the task's metadata, labels or splits")
    if one.sample_rate == other.sample_rate and one.task.get("audio") != other.task.get("audio"):
        found.append("the task's audio")
    return found


def task_digest(folder: str | Path, sample_rate: int) -> dict[str, str]:
    """Compute what determines the clips and labels of a task folder for a model of ``sample_rate`` Hz.

    Returns:
        Two sha256. "labels" covers the metadata (with the probes' settings), the vocabulary and the splits, and is the
        same for the copies that heareval keeps with the embeddings. "audio" covers the names and sizes of the files,
        and the digest of their content if `tasks.task_folder.write_task` left one.

    Raises:
        FileNotFoundError: The task lacks a file.
        ValueError: A file is not what it should be.
    """
    folder = Path(folder)
    metadata, splits = read_task(folder)
    sizes = {}
    for split, clips in splits.items():
        for clip in clips:
            path = folder / str(sample_rate) / split / clip
            try:
                sizes[f"{split}/{clip}"] = path.stat().st_size
            except OSError:
                raise FileNotFoundError(f"clip {path} is missing; add the file, or build the task again") from None
    build = metadata.get("build")
    content = build.get("audio") if isinstance(build, Mapping) else None
    return {"labels": labels_digest(folder), "audio": _digest([content, sample_rate, sizes])}


def labels_digest(folder: str | Path) -> str:
    """Compute the "labels" of `task_digest`, for a task folder or a folder of its embeddings."""
    folder = Path(folder)
    metadata, splits = read_task(folder)
    vocabulary = folder / "labelvocabulary.csv"
    if not vocabulary.is_file():
        raise FileNotFoundError(f"{vocabulary} is missing; build the task again")
    own = {key: value for key, value in metadata.items() if key != "build"}
    try:
        classes = vocabulary.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{vocabulary} cannot be read ({error}); build the task again") from None
    # The order of the clips counts: it is that of the probes' batches.
    return _digest([json.dumps(own, sort_keys=True), classes, list(splits.items())])


def read_task(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read the metadata, and split → clip → labels, of a task folder or a folder of its embeddings.

    Raises:
        FileNotFoundError: The folder is not such a folder.
        ValueError: A file is not what it should be.
    """
    remedy = f"write it again, or move {folder} away, as heareval takes everything in its tasks folder for a task"
    metadata = read_json_object(folder / "task_metadata.json", remedy)
    names = metadata.get("splits")
    if not isinstance(names, list) or not names:
        raise ValueError(
            f"{folder / 'task_metadata.json'} names no splits; run python -m sonyc_tasks validate {folder}"
        )
    for name in names:
        _require_inside(folder / "task_metadata.json", name)
    splits = {name: read_json_object(folder / f"{name}.json", remedy) for name in names}
    for split, clips in splits.items():
        for clip in clips:
            _require_inside(folder / f"{split}.json", clip)
    return metadata, splits


def _require_inside(file: Path, name: Any) -> None:
    """Refuse a name in ``file`` that would lead out of its folder: heareval reads, and writes embeddings, by it."""
    if not is_plain_name(name):
        raise ValueError(f"{file} has the name {name!r:.120}, which is not that of a file; do not use this task")


def tensor_digest(model: Any) -> str:
    """Compute the sha256 of all tensors of a torch or TensorFlow model with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, kind, shape, data in sorted(_tensors(model), key=lambda entry: entry[:3]):
        digest.update(f"\n{name} {kind} {shape}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _tensors(model: Any) -> Iterator[tuple[str, str, tuple[int, ...], Any]]:
    """Yield name, type, shape and bytes of every tensor of ``model``."""
    if not hasattr(model, "state_dict"):
        for variable in model.variables:
            array = variable.numpy()
            yield variable.name, str(array.dtype), array.shape, array.tobytes()
        return
    import torch

    # Buffers that are not saved with the model still affect what it computes.
    for name, tensor in {**dict(model.named_buffers(remove_duplicate=False)), **model.state_dict()}.items():
        if isinstance(tensor, torch.Tensor):
            data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            yield name, str(tensor.dtype), tuple(tensor.shape), data


def module_version(name: str) -> str | None:
    """Return ``__version__`` of the module ``name``, or of its package."""
    for part in (name, name.partition(".")[0]):
        version = getattr(import_module(part), "__version__", None)
        if version is not None:
            return str(version)
    return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _short(value: Any) -> str:
    """Format a value for a message; digests are cut to their first digits."""
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}…" if len(text) == 64 and text.isalnum() else text
