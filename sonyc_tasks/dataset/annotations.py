"""Clips and their labels, from a folder in the layout of SONYC-UST-V2: ``annotations.csv`` next to the audio.

The file has one row per clip and annotator. A presence column holds 1, 0, or -1 if that annotator was not asked.
``annotator_id`` is > 0 for a volunteer (three per clip), 0 for the agreed ground truth (some clips), and < 0 for a
member of the SONYC team, whose rows cover single coarse classes, went into the ground truth and are not used here.

The rules that turn a clip's rows into one set of labels:

- ``majority``: the ground truth if there is one, else the classes that more than half of the volunteers marked;
- ``minority``: the ground truth if there is one, else the classes that at least one volunteer marked;
- ``verified``: the ground truth; clips without one are left out.
"""

from __future__ import annotations

import csv
import os
import posixpath
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sonyc_tasks.dataset.download.archives import AUDIO_SUFFIXES
from sonyc_tasks.dataset.taxonomy import COARSE, NOT_LABELLED

LABEL_RULES = ("majority", "minority", "verified")

_PRESENCE = tuple(f"{name}_presence" for name in COARSE)
_NEEDED = ("sensor_id", "audio_filename", "annotator_id", *_PRESENCE)


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        name: The whole path that ``annotations.csv`` gives, as two folders may hold files with the same name.
        sensor: Number of the sensor.
        path: The audio file.
        sources: The coarse classes heard in it.
    """

    name: str
    sensor: int
    path: Path
    sources: tuple[str, ...]


def read_clips(root: str | Path, labels: str = "majority") -> list[Clip]:
    """Read the clips of a data set, sorted by name.

    Clips for which the label rule finds no answers are left out, with a warning that counts them.

    Args:
        root: Folder with ``annotations.csv`` and the audio (see `find_audio`).
        labels: The label rule (see the module).

    Raises:
        ValueError: The folder or file is missing, the csv is malformed, or a clip is not on disk or its name matches
            several files.
    """
    root = require_dataset(root)
    file = root / "annotations.csv"
    labelled = read_labels(file, labels)
    found = find_audio(root, labelled)
    if found.missing:
        if len(found.missing) == len(labelled):
            raise ValueError(
                f"none of the {len(labelled)} clips of {file} is on disk (first: {found.missing[0]}); "
                f"put the audio files into {root / 'audio'}"
            )
        raise ValueError(
            f"{len(found.missing)} of the {len(labelled)} clips of {file} are not on disk "
            f"(first: {found.missing[0]}); put them into {root / 'audio'}, or remove their rows"
        )
    if found.ambiguous:
        more = f" (and {len(found.ambiguous) - 1} more like it)" if len(found.ambiguous) > 1 else ""
        raise ValueError(f"{file}: {next(iter(found.ambiguous.values()))}{more}")
    return [Clip(name, sensor, found.paths[name], sources) for name, (sensor, sources) in labelled.items()]


def require_dataset(root: str | Path) -> Path:
    """Return the folder of a data set; ValueError if it is missing."""
    if not Path(root).is_dir():
        raise ValueError(f"there is no folder {root}; give the one that holds annotations.csv and the audio")
    return Path(root)


def read_labels(file: str | Path, labels: str = "majority") -> dict[str, tuple[int, tuple[str, ...]]]:
    """Read clip name → (sensor, coarse classes), sorted by name, from an ``annotations.csv`` without its audio.

    Warns and raises as `read_clips` does.
    """
    if labels not in LABEL_RULES:
        raise ValueError(f"there is no label rule {labels!r}; choose from {', '.join(LABEL_RULES)}")
    file = Path(file)
    if not file.is_file():
        raise ValueError(f"there is no {file}; give the folder of a data set in the layout of SONYC-UST-V2")
    clips: dict[str, _Answers] = {}
    for where, sensor, name, annotator, presence in iter_rows(file):
        answers = clips.setdefault(name, _Answers(sensor))
        if answers.sensor != sensor:
            raise ValueError(
                f"{where}: {name} has sensor {sensor}, but sensor {answers.sensor} in an earlier row; correct one"
            )
        answers.add(annotator, presence)
    if not clips:
        raise ValueError(f"{file} has no annotations; download it again")
    result = {}
    for name in sorted(clips):
        sources = clips[name].sources(labels)
        if sources is not None:
            result[name] = (clips[name].sensor, sources)
    unusable = len(clips) - len(result)
    if unusable:
        warnings.warn(
            f'{file}: {unusable} clips have no label under the rule "{labels}" and are left out', stacklevel=2
        )
    if not result:
        raise ValueError(f'no clip of {file} has a label under the rule "{labels}"; choose another label rule')
    return result


@dataclass
class _Answers:
    """What the annotators said about one clip, counted for each coarse class."""

    sensor: int
    truth: list[int] | None = None
    yes: list[int] = field(default_factory=lambda: [0] * len(COARSE))
    asked: list[int] = field(default_factory=lambda: [0] * len(COARSE))

    def add(self, annotator: int, presence: list[int]) -> None:
        if annotator == 0 and any(answer != NOT_LABELLED for answer in presence):
            self.truth = presence
        elif annotator > 0:
            for i, answer in enumerate(presence):
                self.yes[i] += answer == 1
                self.asked[i] += answer != NOT_LABELLED

    def sources(self, rule: str) -> tuple[str, ...] | None:
        """Return the classes present under a label rule; None if no annotator it uses was asked about any class."""
        if self.truth is not None:
            present = [answer == 1 for answer in self.truth]
        elif rule == "verified" or not any(self.asked):
            return None
        elif rule == "minority":
            present = [yes > 0 for yes in self.yes]
        else:
            present = [2 * yes > asked for yes, asked in zip(self.yes, self.asked, strict=True)]
        return tuple(name for name, here in zip(COARSE, present, strict=True) if here)


def iter_rows(file: Path) -> Iterator[tuple[str, int, str, int, list[int]]]:
    """Yield (file:line, sensor, clip name, annotator, presence of the 8 coarse classes) for each row.

    Raises:
        ValueError: The file is malformed.
    """
    with _naming(file), file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream)
        header = next(reader, None)
        if header is None:
            raise ValueError(f"{file} is empty; download it again")
        missing = [column for column in _NEEDED if column not in header]
        if missing:
            raise ValueError(
                f"{file} lacks the columns {', '.join(missing)}; add them, or download SONYC-UST-V2's file again"
            )
        sensor, name, annotator, *presence = (header.index(column) for column in _NEEDED)
        for line, row in enumerate(reader, start=2):  # no field of this file spans lines
            where = f"{file}:{line}"
            if len(row) != len(header):
                raise ValueError(f"{where}: {len(row)} columns, not {len(header)} as in the header; download it again")
            yield (
                where,
                _integer(row[sensor], "sensor_id", where),
                row[name],
                _integer(row[annotator], "annotator_id", where),
                [_presence(row[column], header[column], where) for column in presence],
            )


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file where its bytes are not text, or not CSV."""
    try:
        yield
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is not a CSV file in UTF-8 ({error}); download it again") from None


def _integer(text: str, column: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{where}: {column} is {text!r}, not an integer; correct the row") from None


def _presence(text: str, column: str, where: str) -> int:
    if text not in ("1", "0", "-1"):
        raise ValueError(f"{where}: {column} is {text!r}, not 1, 0 or -1 (not labelled); correct the row")
    return int(text)


@dataclass
class Found:
    """Where the clips of a data set are.

    Attributes:
        paths: Name → file, for names that match exactly one file, which no other name matches.
        missing: Names without a file.
        ambiguous: Name → what is wrong and what to do.
        extra: Audio files that no name matches.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)
    extra: list[Path] = field(default_factory=list)


def find_audio(root: Path, names: Iterable[str]) -> Found:
    """Find the audio file of every clip in ``names``, which are paths as in annotations.csv.

    A name with folders is a path below ``root`` or ``root/audio``. A name without is looked up in ``root``, ``audio/``
    and, in either, the archives' own folders ``audio-0/`` … ``audio-18/``. If no file has exactly that name, a file
    with another suffix counts: ``x.WAV`` or ``x.flac`` for ``x.wav``.
    """
    listings = {folder: _audio_files(folder) for folder in _usual_folders(root)}
    places = {"": list(listings.values())}  # folder in a name → files in the folders that it may mean
    found = Found()
    owners: dict[Path, str] = {}
    fitting: set[Path] = set()
    for name in names:
        folder, file = posixpath.split(posixpath.normpath(name.replace("\\", "/")))
        if folder == ".." or folder.startswith(("/", "../")):  # a clip is never outside of root
            found.missing.append(name)
            continue
        if folder not in places:
            bases = (root / folder, root / "audio" / folder)
            listings.update({base: _audio_files(base) for base in bases if base not in listings})
            places[folder] = [listings[base] for base in bases]
        files = _fitting(file, places[folder])
        fitting.update(files)
        if not files:
            found.missing.append(name)
        elif len(files) > 1:
            found.ambiguous[name] = (
                f"{name} can be {files[0]} or {files[1]}; give folder and suffix in the csv, or remove one of the files"
            )
        elif (owner := owners.setdefault(files[0], name)) != name:
            found.ambiguous[name] = (
                f"{owner} and {name} are both {files[0]}; add the other file, or remove the rows of one"
            )
        else:
            found.paths[name] = files[0]
    found.extra = [path for own in listings.values() for paths in own.values() for path in paths if path not in fitting]
    return found


def _usual_folders(root: Path) -> list[Path]:
    """List the folders into which the data set's archives may have been unpacked."""
    return [folder for base in (root, root / "audio") for folder in (base, *sorted(base.glob("audio-*")))]


def _audio_files(folder: Path) -> dict[str, list[Path]]:
    """List the audio files of ``folder``, which need not exist, by name without suffix."""
    files: dict[str, list[Path]] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        stem, ending = posixpath.splitext(name)
        if ending.lower() in AUDIO_SUFFIXES:
            files.setdefault(stem, []).append(folder / name)
    return files


def _fitting(name: str, listings: Iterable[dict[str, list[Path]]]) -> list[Path]:
    """List the distinct files called ``name``, or else those that differ only in their suffix."""
    stem, ending = posixpath.splitext(name)
    stem = stem if ending.lower() in AUDIO_SUFFIXES else name
    files = [file for listing in listings for file in listing.get(stem, ())]
    if len(files) > 1:
        files = [file for file in files if file.name == name] or files
        files = [file for k, file in enumerate(files) if not any(file.samefile(other) for other in files[:k])]  # links
    return files
