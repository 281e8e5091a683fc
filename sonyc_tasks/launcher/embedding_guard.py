"""Checks around heareval's embeddings runner.

Before the first clip is embedded: every task can be embedded and probed, existing folders were made by this model from
these tasks, and the module's embeddings are meaningful. During embedding: they are finite. After each task, the record
of what made it is written. heareval deletes unfinished folders and embeds their tasks again, so they need no check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.errors import first_line
from sonyc_tasks.files import file_digest
from sonyc_tasks.launcher.embedding_record import (
    DONE,
    EmbeddingRecord,
    differences,
    labels_digest,
    module_version,
    read_task,
    task_digest,
    tensor_digest,
)
from sonyc_tasks.launcher.hooks import one_sentence, replaced, say, warn
from sonyc_tasks.launcher.module_checks import check_module, sample_rate
from sonyc_tasks.locks import held
from sonyc_tasks.tasks.probe_batches import lone_rows
from sonyc_tasks.tasks.validate.audio import sample_rates


def guarded(runner: Callable[..., None], **options: Any) -> None:
    """Call ``runner``, the function behind heareval's command, with the checks of this module around it."""
    runners: Any = import_module("heareval.embeddings.runner")
    tasks: Any = import_module("heareval.embeddings.task_embeddings")
    with one_sentence():
        run = EmbeddingRun(options, runners.task_embeddings, tasks.get_dataloader_for_embedding)
    with (
        held(run.out / f".{run.module}{_options_suffix(run.model_options)}.lock", run.out),
        replaced(runners, Embedding=_checked(run, runners.Embedding), task_embeddings=run.embed),
        replaced(tasks, get_dataloader_for_embedding=run.batches),
    ):
        runner(**options)


class EmbeddingRun:
    """One call of heareval's embeddings runner.

    Args:
        options: Those of its command line.
        task_embeddings, dataloader: heareval's functions that `embed` and `batches` replace.

    Raises:
        ValueError, FileNotFoundError: The options or a task would crash heareval later.
    """

    def __init__(
        self, options: Mapping[str, Any], task_embeddings: Callable[..., None], dataloader: Callable[..., Any]
    ) -> None:
        self._task_embeddings, self._dataloader = task_embeddings, dataloader
        self.module, self.model_file = options["module"], options["model"]
        try:
            self.model_options = json.loads(options["model_options"])
        except ValueError as error:
            raise ValueError(
                f"--model-options {options['model_options']!r} is not JSON ({error}); write an object, like "
                '{"view": "shared"}'
            ) from None
        if not isinstance(self.model_options, dict):
            raise ValueError(f"--model-options {options['model_options']!r} is not a JSON object; write {{…}}")
        self.out = Path(options["embeddings_dir"])
        self.tasks = _task_folders(Path(options["tasks_dir"]), options["task"])
        self.metadata = {}
        for task in self.tasks:
            self.metadata[task], splits = read_task(task)
            if self.metadata[task].get("embedding_type") == "scene":
                sizes = {split: len(clips) for split, clips in splits.items()}
                if fault := lone_row(self.metadata[task], sizes):
                    raise ValueError(f"{task}: {fault}")
        #: What is being embedded, for messages.
        self.place = ""

    def plan(self, embedding: Any) -> None:
        """Decide what to do for each task with the loaded model, and say so.

        Raises:
            ValueError, FileNotFoundError: A task or the model does not allow it; nothing has been embedded.
        """
        record = self._record(embedding)
        folder = self.out / (embedding.name + _options_suffix(self.model_options))
        self.records, waiting = {}, []
        for task in self.tasks:
            if not (task / str(record["sample_rate"])).is_dir():
                raise ValueError(_no_rate(task, record["sample_rate"], embedding.name))
            digest = task_digest(task, record["sample_rate"])
            self.records[task] = EmbeddingRecord(**record, task=digest)
            place = folder / task.name
            if (place / DONE).exists():
                self._check_finished(place, self.records[task])
            else:
                waiting.append(task)
                state = " again, as an earlier run did not finish" if place.exists() else ""
                say(f"{task.name}: to be embedded into {place}{state}")
        kinds = {str(self.metadata[task].get("embedding_type")) for task in waiting}
        for doubt in check_module(embedding, kinds) if waiting else ():
            warn(doubt)

    def _record(self, embedding: Any) -> dict[str, Any]:
        """Return the fields of a record that do not depend on the task."""
        weights = {"tensors": tensor_digest(embedding.model)}
        if self.model_file is not None and Path(self.model_file).is_file():
            weights["file"] = file_digest(self.model_file)
        return {
            "module": embedding.name,
            "version": module_version(embedding.name),
            "weights": weights,
            "options": self.model_options,
            "sample_rate": sample_rate(embedding),
            "heareval": str(import_module("heareval").__version__),
        }

    def _check_finished(self, place: Path, record: EmbeddingRecord) -> None:
        found = EmbeddingRecord.read(place)
        if found is not None:
            told = differences(found, record)
        else:
            # At least the labels can be compared with heareval's copies.
            told = [] if labels_digest(place) == record.task["labels"] else ["the task's metadata, labels or splits"]
        if told:
            raise ValueError(
                f"{place} has other embeddings ({', '.join(told)} differ); delete that folder, or give another "
                "--embeddings-dir"
            )
        if found is None:
            warn(f"{place} has no record of what embedded it; heareval skips it, although it may be from another model")
        else:
            say(f"{place.name}: skipped, {place} already has the embeddings of this model and task")

    def embed(self, embedding: Any, task_path: Path, embed_task_dir: Path) -> None:
        """Call heareval's ``task_embeddings`` and write the record."""
        record = self.records[task_path]
        with one_sentence():
            self._task_embeddings(embedding, task_path, embed_task_dir)
            if task_digest(task_path, record.sample_rate) != record.task:
                raise ValueError(f"{task_path} changed while it was embedded; start again")
        record.write(embed_task_dir)
        if fault := lone_row(self.metadata[task_path], rows_of(embed_task_dir, self.metadata[task_path])):
            warn(f"{embed_task_dir}: {fault}")

    def batches(self, data: Mapping[str, Any], audio_dir: Path, embedding: Any, batch_size: int) -> _Batches:
        """Call heareval's ``get_dataloader_for_embedding`` and keep track of what is being embedded."""
        if not audio_dir.is_dir():
            raise FileNotFoundError(f"{audio_dir} is missing; add the audio, or build the task again")
        return _Batches(
            self, self._dataloader(data, audio_dir, embedding, batch_size), list(data), audio_dir, batch_size
        )

    def checked(self, embedding: Any, audio: Any, call: Callable[[Any], Any]) -> Any:
        """Return ``call(audio)``, which must be finite, for a batch of a task."""
        if not self.place:  # the noise of `check_module`, which has its own checks
            return call(audio)
        try:
            result = call(audio)
        except Exception as error:  # somebody else's module can raise anything
            seconds = audio.shape[-1] / sample_rate(embedding)
            raise ValueError(
                f"module {embedding.name} fails on {self.place}, {len(audio)} × {seconds:g} s ({audio.shape[-1]} "
                f"samples): {first_line(error)}; correct the module, or build the task with other clips"
            ) from error
        for array in result if isinstance(result, tuple) else (result,):
            if not np.isfinite(array).all():
                raise ValueError(
                    f"module {embedding.name} gives embeddings that are not finite for {self.place}; correct the "
                    "module, or leave out what it cannot embed"
                )
        return result


class _Batches:
    """heareval's loader of audio, which notes in the run which clips the current batch holds."""

    def __init__(self, run: EmbeddingRun, loader: Any, names: list[str], folder: Path, size: int) -> None:
        self._run, self._loader, self._names, self._folder, self._size = run, loader, names, folder, size

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._loader)
        for start in range(0, len(self._names), self._size):
            clips = self._names[start : start + self._size]
            self._run.place = f"{', '.join(clips)} of {self._folder}"
            try:
                batch = next(batches)
            except Exception as error:
                raise ValueError(
                    f"heareval cannot read or batch {self._run.place} ({first_line(error)}); "
                    f"run python -m sonyc_tasks validate {self._folder.parents[1]} to see why"
                ) from error
            yield batch


def _checked(run: EmbeddingRun, embedding_class: Any) -> Any:
    """Subclass heareval's ``Embedding`` so that everything is checked once the model is loaded."""

    class Checked(embedding_class):  # type: ignore[misc]  # known at run time only
        def __init__(self, *arguments: Any) -> None:
            with one_sentence():
                super().__init__(*arguments)
                run.plan(self)

        def get_scene_embedding_as_numpy(self, audio: Any) -> np.ndarray:
            return run.checked(self, audio, super().get_scene_embedding_as_numpy)

        def get_timestamp_embedding_as_numpy(self, audio: Any) -> tuple[np.ndarray, np.ndarray]:
            return run.checked(self, audio, super().get_timestamp_embedding_as_numpy)

    return Checked


def lone_row(metadata: Mapping[str, Any], sizes: Mapping[str, int]) -> str:
    """Return why a probe would crash on training sets of these ``sizes`` (split → rows), and what to do; or ""."""
    row = "clip" if metadata.get("embedding_type") == "scene" else "frame"
    for name, rows, batch_size in lone_rows(metadata, sizes):
        return (
            f"{name} has {rows} {row}s, so the last of heareval's batches of {batch_size} has only one, on which "
            "BatchNorm fails; leave out a clip"
        )
    return ""


def rows_of(embedded: Path, metadata: Mapping[str, Any]) -> dict[str, int]:
    """Return split → number of embeddings, as noted by heareval.

    Raises:
        FileNotFoundError, ValueError: A note is missing or broken.
    """
    rows = {}
    for split in metadata["splits"]:
        path = embedded / f"{split}.embedding-dimensions.json"
        try:
            rows[split] = int(json.loads(path.read_text(encoding="utf-8"))[0])
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is missing; embed the task again") from None
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise ValueError(f"{path} is broken ({error}); embed the task again") from None
    return rows


def _task_folders(tasks_dir: Path, task: str) -> list[Path]:
    """Return the folders that heareval will embed, sorted by name."""
    if not tasks_dir.is_dir():
        raise FileNotFoundError(f"there is no folder {tasks_dir}; give the folder of the tasks as --tasks-dir")
    if task == "all":
        return sorted(tasks_dir.iterdir())
    if not (tasks_dir / task).is_dir():
        there = ", ".join(sorted(path.name for path in tasks_dir.iterdir() if path.is_dir())) or "none"
        raise FileNotFoundError(f"{tasks_dir} has no task {task}; choose as --task from {there}")
    return [tasks_dir / task]


def _options_suffix(options: Any) -> str:
    """Return what heareval appends to the module's name for the folder of its embeddings.

    >>> _options_suffix({"view": "private", "depth": 2})
    '-view=private-depth=2'
    """
    from slugify import slugify

    return "".join(f"-{slugify(key)}={slugify(str(value))}" for key, value in options.items())


def _no_rate(task: Path, rate: int, module: str) -> str:
    there = sample_rates(task)
    rates = " and ".join(f"{found} Hz" for found in there) or "no sample rate"
    every = " ".join(map(str, sorted({*there, rate})))
    return (
        f"task {task} has audio at {rates}, but the model of module {module} takes {rate} Hz; build the task with "
        f"--sample-rate {every}"
    )
