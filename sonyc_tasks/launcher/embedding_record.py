"""What made the embeddings of a task: a record beside them, so that others are never taken for them.

heareval names a folder of embeddings by module, options and task, and passes it over once it is finished. Another
checkpoint under the same module, or another build of the task, then goes by the first one's scores. The launcher
(:mod:`sonyc_tasks.heareval`) therefore writes ``embedding_record.json`` into every folder that it embeds.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = "embedding_record.json"
FORMAT = 1
#: The launcher's record of what was probed, beside it (`sonyc_tasks.launcher.prediction_guard`).
PROBE_RECORD = "prediction_record.json"
#: heareval's own mark of a folder whose embeddings are complete.
DONE = ".done.embeddings"


@dataclass(frozen=True)
class EmbeddingRecord:
    """What determines the embeddings of one task.

    module: name of the HEAR module; version: its own, or its package's, if it has one.
    weights: ``{"tensors": sha256}`` of all tensors of the loaded model (see :func:`tensor_digest`), and ``"file"``, the
    sha256 of the file that ``--model`` named, if it named one.
    options: of ``--model-options``.
    sample_rate: Hz, of the model, so of the audio that was embedded.
    task: see :func:`task_digest`.
    heareval: its version.
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
        """The record of the embeddings in ``folder``, which is one task's; None if it has none.

        Raises:
            ValueError: the file is no record, or one of another format; the message names it.
        """
        path = Path(folder) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error}); {_AGAIN}") from None
        content = content if isinstance(content, dict) else {}
        if content.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is no record of format {FORMAT}; {_AGAIN}")
        if content.keys() != {field.name for field in fields(cls)} or not all(
            isinstance(content[name], dict) for name in ("weights", "options", "task")
        ):
            raise ValueError(f"{path} lacks some of what a record holds; {_AGAIN}")
        return cls(**content)

    def write(self, folder: str | Path) -> None:
        """Put the record into ``folder``, whole or not at all."""
        write_json({"format": FORMAT, **asdict(self)}, Path(folder) / FILE)


_AGAIN = "delete the folder that it lies in and embed the task again"


def differences(one: EmbeddingRecord, other: EmbeddingRecord) -> list[str]:
    """In what two records differ, in words; empty if the embeddings must be equal.

    What only one of them knows of ``weights`` counts as a difference.
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
    """In what the tasks of two records differ, in words, whatever the models. Audio is compared at one sample rate
    only; models of two rates have different files of the same clips."""
    found = []
    if one.task.get("labels") != other.task.get("labels"):
        found.append("the task's metadata, labels or splits")
    if one.sample_rate == other.sample_rate and one.task.get("audio") != other.task.get("audio"):
        found.append("the task's audio")
    return found


def task_digest(folder: str | Path, sample_rate: int) -> dict[str, str]:
    """What determines the clips and labels of a task folder for a model of ``sample_rate`` Hz, as two sha256.

    ``labels`` is of the metadata (the probes' settings among them), the vocabulary and the splits; it is the same for
    the copies of these that heareval puts beside the embeddings. ``audio`` is of the names and sizes of the files, and
    of the build record's digest of their content, where :func:`sonyc_tasks.tasks.hear_format.write_task` left one.

    Raises:
        FileNotFoundError: the task lacks a file.
        ValueError: a file is not what it should be.
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
                raise FileNotFoundError(f"clip {path} is not there; add the file, or build the task again") from None
    build = metadata.get("build")
    content = build.get("audio") if isinstance(build, Mapping) else None
    return {"labels": labels_digest(folder), "audio": _digest([content, sample_rate, sizes])}


def labels_digest(folder: str | Path) -> str:
    """The ``labels`` of :func:`task_digest`, of a task folder or of a folder of its embeddings."""
    folder = Path(folder)
    metadata, splits = read_task(folder)
    vocabulary = folder / "labelvocabulary.csv"
    if not vocabulary.is_file():
        raise FileNotFoundError(f"{vocabulary} is not there; build the task again")
    own = {key: value for key, value in metadata.items() if key != "build"}
    # The order of the clips counts: it is that of the probes' batches.
    return _digest([json.dumps(own, sort_keys=True), vocabulary.read_text(encoding="utf-8"), list(splits.items())])


def read_task(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Metadata, and split → clip → labels, of a task folder or of a folder of its embeddings.

    Raises:
        FileNotFoundError: it is no such folder.
        ValueError: a file is not what it should be.
    """
    metadata = _read_object(folder / "task_metadata.json")
    names = metadata.get("splits")
    if not isinstance(names, list) or not names:
        raise ValueError(
            f"{folder / 'task_metadata.json'} names no splits; run python -m sonyc_tasks validate {folder}"
        )
    return metadata, {str(name): _read_object(folder / f"{name}.json") for name in names}


def tensor_digest(model: Any) -> str:
    """The sha256 of all tensors of a torch or TensorFlow model with their names, types and shapes, in hexadecimal."""
    digest = hashlib.sha256()
    for name, kind, shape, data in sorted(_tensors(model), key=lambda entry: entry[:3]):
        digest.update(f"\n{name} {kind} {shape}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _tensors(model: Any) -> Iterator[tuple[str, str, tuple[int, ...], Any]]:
    """Name, type, shape and bytes of every tensor that ``model`` holds."""
    if not hasattr(model, "state_dict"):
        for variable in model.variables:
            array = variable.numpy()
            yield variable.name, str(array.dtype), array.shape, array.tobytes()
        return
    import torch

    # Buffers that are not saved with the model are part of what it computes, too.
    for name, tensor in {**dict(model.named_buffers(remove_duplicate=False)), **model.state_dict()}.items():
        if isinstance(tensor, torch.Tensor):
            data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            yield name, str(tensor.dtype), tuple(tensor.shape), data


def file_digest(path: str | Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def module_version(name: str) -> str | None:
    """``__version__`` of the module ``name``, or of the package that it is in."""
    for part in (name, name.partition(".")[0]):
        version = getattr(import_module(part), "__version__", None)
        if version is not None:
            return str(version)
    return None


def write_json(content: Any, path: Path) -> None:
    """Write a file of JSON, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as workshop:
        part = Path(workshop) / path.name
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{path} is not there, so {path.parent} is no task; heareval takes every entry of its tasks folder for one"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); write it again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no JSON object; write {{ … }}")
    return content


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _short(value: Any) -> str:
    """A value as a message shows it, digests by their first digits."""
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}…" if len(text) == 64 and text.isalnum() else text
