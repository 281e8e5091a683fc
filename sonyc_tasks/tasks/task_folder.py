"""Write a HEAR task folder: labels, splits and audio as heareval reads them.

::

    <tasks_dir>/<name>-<version>-<mode>/
        task_metadata.json          what the task is, and how this folder was made ("build", which heareval ignores)
        labelvocabulary.csv         idx,label
        <split>.json                {"x.wav": labels, ...}
        <sample rate>/<split>/x.wav mono, 16-bit PCM

heareval takes every entry of ``tasks_dir`` for a task, so a folder is built elsewhere and moved in when complete, and
nothing else is ever put there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from sonyc_tasks.dataset import audio
from sonyc_tasks.dataset.duplicates import listed
from sonyc_tasks.files import file_digest, make_folder, read_json_object, replace_folder, sweep
from sonyc_tasks.locks import held
from sonyc_tasks.tasks.probe_batches import lone_rows
from sonyc_tasks.tasks.temporary_folder import build_dir
from sonyc_tasks.tasks.validate.audio import between_splits
from sonyc_tasks.tasks.validate.task import errors_of, validate_task
from sonyc_tasks.threads import map_on_threads

log = logging.getLogger(__name__)

#: Part of every build record; increase it when the same arguments would give different files.
_RECIPE = 1


class Event(TypedDict):
    """A labelled segment of a clip, in milliseconds from the clip's start."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Task:
    """Everything about a HEAR task except its audio. A clip's name is that of its file in the folder, ``x.wav``.

    Attributes:
        splits: Split → clip → labels: names of classes in a scene task, `Event` dictionaries in an event task. Splits
            are train, valid and test, or fold00, fold01, … for a k-fold ``split_mode``.
        prediction_type: "multilabel" or "multiclass".
        evaluation: heareval's names of scores; the first selects the probe.
        sample_duration: Length in seconds to which all clips are cut or zero-padded; None keeps their lengths, and
            makes heareval embed them one at a time.
        embedding_type: "scene" or "event".
        split_mode: "trainvaltest", "presplit_kfold" or "new_split_kfold".
        extra: Further JSON for ``task_metadata.json``, which heareval ignores.
    """

    name: str
    vocabulary: Sequence[str]
    splits: Mapping[str, Mapping[str, Sequence[str] | Sequence[Event]]]
    prediction_type: str
    evaluation: Sequence[str]
    sample_duration: float | None
    embedding_type: str = "scene"
    split_mode: str = "trainvaltest"
    version: str = "v1"
    mode: str = "full"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder_name(self) -> str:
        """The folder's name, ``<name>-<version>-<mode>``."""
        return f"{self.name}-{self.version}-{self.mode}"

    def metadata(self) -> dict[str, Any]:
        """Return the content of ``task_metadata.json`` without the build record."""
        return {
            "task_name": self.name,
            "version": self.version,
            "mode": self.mode,
            "embedding_type": self.embedding_type,
            "prediction_type": self.prediction_type,
            "split_mode": self.split_mode,
            "splits": list(self.splits),
            "sample_duration": self.sample_duration,
            "evaluation": list(self.evaluation),
            **self.extra,
        }


@dataclass
class WriteReport:
    """What `write_task` did.

    Attributes:
        clips: Number of clips.
        reused: The folder already existed, made from the same input; nothing was written.
        linked: The audio is another task's, by hard links, or by copies if links are impossible.
        trimmed, padded: Numbers of clips that were cut or padded to the task's duration.
        limited: Number of clips that were limited to full scale.
    """

    folder: Path
    clips: int = 0
    reused: bool = False
    linked: bool = False
    trimmed: int = 0
    padded: int = 0
    limited: int = 0


def write_task(
    task: Task,
    sources: Mapping[str, Path],
    tasks_dir: str | Path,
    *,
    sample_rate: int | Sequence[int],
    workers: int | None = None,
) -> WriteReport:
    """Write the folder of ``task`` into ``tasks_dir``.

    If the folder exists and its build record shows the same task and audio (by content), nothing is done. If another
    task in ``tasks_dir`` already has exactly this audio, its files are linked instead of rendered. Otherwise clips are
    mixed to mono and resampled. Sample rates that the folder already has are kept; to drop one, remove the folder.
    The finished folder is checked with `validate.task.validate_task` before it is moved into place.

    Args:
        task: The task.
        sources: Clip → audio file of any format.
        tasks_dir: Folder of all tasks.
        sample_rate: In Hz; several make a task for models with any of them.
        workers: Number of threads, each with one clip in memory; by default one per core.

    Raises:
        ValueError: The check finds an error, a clip has no source or cannot be read, a folder of that name was not made
            by this function, the same recording is in two splits (`dataset.duplicates`), or a probe's last batch would
            be a single clip (`probe_batches`); ``tasks_dir`` is left as it was.
    """
    tasks_dir = Path(tasks_dir)
    place = tasks_dir if os.path.ismount(tasks_dir) else tasks_dir.parent  # next to it if on the same file system
    with held(place / f".{task.folder_name}.lock", tasks_dir / task.folder_name):
        return _written(task, sources, tasks_dir, place, sample_rate, workers)


def _written(
    task: Task,
    sources: Mapping[str, Path],
    tasks_dir: Path,
    place: Path,
    sample_rate: int | Sequence[int],
    workers: int | None,
) -> WriteReport:
    """`write_task`, by the only command that writes this task's folder."""
    final = tasks_dir / task.folder_name
    placed = [(split, clip) for split, labels in task.splits.items() for clip in labels]
    _check_names(placed, sources)
    _refuse_lone_row(task)
    existing = _read_record(final)
    if final.exists() and existing is None:
        raise ValueError(f"{final} was not made by this command; move it away, or give another tasks folder")
    wanted = (sample_rate,) if isinstance(sample_rate, int) else tuple(sample_rate)
    rates = sorted({*wanted, *(existing or {}).get("sample_rates", ())})
    record = _record(task, {clip: sources[clip] for _, clip in placed}, rates, workers)
    if existing == record and all(_wav(final, r, split, clip).is_file() for r in rates for split, clip in placed):
        sweep(place)
        return WriteReport(final, clips=len(placed), reused=True)

    with build_dir(tasks_dir, place) as work:
        folder = work / task.folder_name
        _write_labels(folder, task, record)
        new = [rate for rate in rates if not _link_audio(folder, task, tasks_dir, record, rate)]
        written = _render_audio(folder, task, sources, new, workers)
        written.linked = not new
        found = errors_of(validate_task(folder))
        if found:
            raise ValueError(f"{task.folder_name} would be broken: {found[0].replace(f'{folder}/', '')}")
        _refuse_shared_recordings(folder, task)
        make_folder(tasks_dir)
        replace_folder(folder, final)
    written.folder = final
    return written


def _check_names(placed: Sequence[tuple[str, str]], sources: Mapping[str, Path]) -> None:
    for split, clip in placed:
        if Path(clip).name != clip or not clip.endswith(".wav"):
            raise ValueError(
                f"{clip!r} of split {split} is not a clip's name; give a plain file name that ends in .wav"
            )
        if clip not in sources:
            raise ValueError(f"clip {clip} of split {split} has no audio file; give one, or leave the clip out")


def _refuse_lone_row(task: Task) -> None:
    """Raise ValueError if a probe would have a last batch of one clip (only the model knows about frames)."""
    if task.embedding_type != "scene":
        return
    sizes = {split: len(labels) for split, labels in task.splits.items()}
    for name, rows, batch_size in lone_rows(task.metadata(), sizes):
        raise ValueError(
            f"{task.folder_name} has {rows} clips to train on ({name}), but heareval, with batches of {batch_size}, "
            "cannot train on a last batch of one; move or leave out a clip"
        )


def _refuse_shared_recordings(folder: Path, task: Task) -> None:
    shared = between_splits(folder, task.splits)  # in the audio as written, cut to one length
    if shared:
        names = listed([[f"{clip} ({split})" for split, clip in group] for group in shared])
        raise ValueError(
            f"{task.folder_name} would have a recording in two splits ({names}); leave one out, or put both "
            "into one split"
        )


def _write_labels(folder: Path, task: Task, record: Mapping[str, Any]) -> None:
    folder.mkdir()
    _dump({**task.metadata(), "build": record}, folder / "task_metadata.json")
    with (folder / "labelvocabulary.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("idx", "label"))
        writer.writerows(enumerate(task.vocabulary))
    for split, labels in task.splits.items():
        # One clip per line, so that the line number of a message leads to the clip.
        lines = (f"{json.dumps(clip)}: {json.dumps(list(own))}" for clip, own in labels.items())
        (folder / f"{split}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _render_audio(
    folder: Path, task: Task, sources: Mapping[str, Path], rates: Sequence[int], workers: int | None
) -> WriteReport:
    """Write the audio of all clips at all ``rates``, and count what was changed."""

    def render(place: tuple[str, str]) -> tuple[int, bool]:
        """Write one clip; return its samples beyond the task's duration, and whether it was limited."""
        split, clip = place
        excess, limited = 0, False
        for rate in rates:
            samples = audio.read_mono(sources[clip], rate)
            if task.sample_duration is not None:
                length = round(task.sample_duration * rate)
                excess, samples = len(samples) - length, audio.fit(samples, length)
            limited |= audio.write_pcm16(_wav(folder, rate, split, clip), samples, rate)
        return excess, limited

    places = [(split, clip) for split, labels in task.splits.items() for clip in labels]
    written = WriteReport(folder, clips=len(places))
    if not rates:
        return written
    for rate in rates:
        for split in task.splits:
            (folder / str(rate) / split).mkdir(parents=True)
    for excess, limited in map_on_threads(render, places, f"{task.name} audio", workers):
        written.trimmed += excess > 0
        written.padded += excess < 0
        written.limited += limited
    return written


def _link_audio(folder: Path, task: Task, tasks_dir: Path, record: Mapping[str, Any], rate: int) -> bool:
    """Link the audio at ``rate`` Hz of a task with the same audio, possibly in other splits; False if there is none."""
    wanted = [(split, clip) for split, labels in task.splits.items() for clip in labels]
    for twin in sorted(tasks_dir.iterdir()) if tasks_dir.is_dir() else ():
        if (_read_record(twin) or {}).get("audio") != record["audio"]:
            continue
        there = {path.name: path for path in (twin / str(rate)).glob("*/*.wav") if not path.is_symlink()}
        if not all(clip in there for _, clip in wanted):
            continue
        copied = 0
        for split, clip in wanted:
            target = _wav(folder, rate, split, clip)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(there[clip], target)
            except OSError:  # another file system, or no hard links
                shutil.copyfile(there[clip], target)
                copied += 1
        if copied:
            log.warning("%s: %d files copied from %s, as hard links are not possible", task.name, copied, twin.name)
        return True
    return False


def _record(task: Task, sources: Mapping[str, Path], rates: Sequence[int], workers: int | None) -> dict[str, Any]:
    """Describe what a folder is made from: equal records mean equal folders, equal ``audio`` entries equal files."""

    def content(clip: str) -> tuple[str, str]:
        status = sources[clip].stat()
        return clip, _file_digest(sources[clip], status.st_size, status.st_mtime_ns)

    for clip, path in sources.items():
        if not path.is_file():
            raise ValueError(f"there is no audio file {path} for clip {clip}; correct the path, or leave the clip out")
    files = dict(map_on_threads(content, sorted(sources), f"{task.name} check", workers))
    labels = {split: dict(own) for split, own in task.splits.items()}
    return {
        "recipe": _RECIPE,
        "sample_rates": list(rates),
        "audio": _digest([_RECIPE, task.sample_duration, files]),
        "labels": _digest([_RECIPE, task.metadata(), list(task.vocabulary), labels]),
    }


def _read_record(folder: Path) -> dict[str, Any] | None:
    """Return the build record of a task folder; None if it was not made here."""
    try:
        record = read_json_object(folder / "task_metadata.json").get("build")
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


@lru_cache(maxsize=65536)
def _file_digest(path: Path, size: int, changed: int) -> str:
    """Return the sha256 of a file, cached while its size and time stay, as tasks of a data set share their files."""
    return file_digest(path)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _wav(folder: Path, sample_rate: int, split: str, clip: str) -> Path:
    return folder / str(sample_rate) / split / clip


def _dump(content: Any, path: Path) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
