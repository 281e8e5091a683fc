"""Clips and their labels, from a folder in the layout of SONYC-UST-V2: ``annotations.csv`` beside the audio.

The file has one row per clip and annotator. A presence column holds 1, 0, or -1 where that annotator was not asked.
``annotator_id`` tells who: a volunteer (> 0, three to a clip), the agreed ground truth (0, some clips), or one member
of the SONYC team (< 0), whose rows cover single coarse classes, went into the ground truth and are not used here.

The rules that make one label set of a clip's rows:

- ``majority``: the ground truth of the clip if it has one, else the classes that more than half of the volunteers
  marked (2 of 3);
- ``minority``: the same, with at least one volunteer;
- ``verified``: only clips with a ground truth.
"""

from __future__ import annotations

import csv
import os
import posixpath
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sonyc_tasks.dataset.download.archives import AUDIO_SUFFIXES
from sonyc_tasks.dataset.taxonomy import COARSE, NOT_LABELLED

LABEL_RULES = ("majority", "minority", "verified")

_PRESENCE = tuple(f"{name}_presence" for name in COARSE)
_NEEDED = ("sensor_id", "audio_filename", "annotator_id", *_PRESENCE)


@dataclass(frozen=True)
class Clip:
    """One recording: its name in ``annotations.csv``, its sensor, where it lies, the coarse classes heard in it.

    The name is the whole path that the csv gives. Two folders may hold files of one name.
    """

    name: str
    sensor: int
    path: Path
    sources: tuple[str, ...]


def read_clips(root: str | Path, labels: str = "majority") -> list[Clip]:
    """The clips of the data set in ``root``, sorted by name, labelled by the rule ``labels`` (see the module).

    The audio is what :func:`find_audio` finds. Clips that the rule leaves without any label information are left out,
    with a warning that counts them.

    Raises ValueError for a missing folder or file, a malformed csv, and clips that are not on disk or whose name fits
    several files.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give the one that holds annotations.csv and the audio")
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


def read_labels(file: str | Path, labels: str = "majority") -> dict[str, tuple[int, tuple[str, ...]]]:
    """Clip name → (sensor, coarse classes) from an ``annotations.csv`` alone, in order of the names; needs no audio.

    Warns and raises as :func:`read_clips` does, but for the audio.
    """
    if labels not in LABEL_RULES:
        raise ValueError(f"there is no label rule {labels!r}; choose one of {', '.join(LABEL_RULES)}")
    file = Path(file)
    if not file.is_file():
        raise ValueError(f"there is no {file}; give the folder of a data set in the layout of SONYC-UST-V2")
    clips: dict[str, _Answers] = {}
    with file.open(newline="", encoding="utf-8-sig") as stream:
        for where, sensor, name, annotator, presence in _rows(file, csv.reader(stream)):
            answers = clips.setdefault(name, _Answers(sensor))
            if answers.sensor != sensor:
                raise ValueError(
                    f"{where}: {name} is given sensor {sensor} here and sensor {answers.sensor} further up; "
                    "correct one of the rows"
                )
            answers.add(annotator, presence)
    if not clips:
        raise ValueError(f"{file} has no annotations in it; fetch it again")
    result = {}
    for name in sorted(clips):
        sources = clips[name].sources(labels)
        if sources is not None:
            result[name] = (clips[name].sensor, sources)
    unusable = len(clips) - len(result)
    if unusable:
        warnings.warn(f'{file}: {unusable} clips have no label under "{labels}" and are left out', stacklevel=2)
    if not result:
        raise ValueError(f'no clip of {file} has a label under the rule "{labels}"; choose another label rule')
    return result


@dataclass
class _Answers:
    """What the annotators said about one clip, counted per coarse class."""

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
        """The classes present under a label rule; None if nobody the rule listens to was asked about any class."""
        if self.truth is not None:
            present = [answer == 1 for answer in self.truth]
        elif rule == "verified" or not any(self.asked):
            return None
        elif rule == "minority":
            present = [yes > 0 for yes in self.yes]
        else:
            present = [2 * yes > asked for yes, asked in zip(self.yes, self.asked, strict=True)]
        return tuple(name for name, here in zip(COARSE, present, strict=True) if here)


def _rows(file: Path, reader: Iterator[list[str]]) -> Iterator[tuple[str, int, str, int, list[int]]]:
    """(file:line, sensor, clip name, annotator, presence of the 8 coarse classes) for each row."""
    header = next(reader, None)
    if header is None:
        raise ValueError(f"{file} is empty; fetch it again")
    missing = [column for column in _NEEDED if column not in header]
    if missing:
        raise ValueError(f"{file} lacks the columns {', '.join(missing)}; fetch the file of SONYC-UST-V2 again")
    sensor, name, annotator, *presence = (header.index(column) for column in _NEEDED)
    for line, row in enumerate(reader, start=2):  # no field of this file spans lines
        where = f"{file}:{line}"
        if len(row) != len(header):
            raise ValueError(f"{where}: {len(row)} columns where the header has {len(header)}; fetch the file again")
        yield (
            where,
            _integer(row[sensor], "sensor_id", where),
            row[name],
            _integer(row[annotator], "annotator_id", where),
            [_presence(row[column], header[column], where) for column in presence],
        )


def _integer(text: str, column: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{where}: {column} is {text!r}, not an integer; correct the row") from None


def _presence(text: str, column: str, where: str) -> int:
    value = _KNOWN_PRESENCE.get(text)
    if value is None:
        raise ValueError(f"{where}: {column} is {text!r}, not 1, 0 or -1 (not labelled); correct the row")
    return value


_KNOWN_PRESENCE = {"1": 1, "0": 0, "-1": NOT_LABELLED}


@dataclass
class Found:
    """Where the clips of a data set lie. ``paths``: name → file, of the names that fit one file of their own.

    ``ambiguous``: name → what is wrong and what to do. ``extra``: audio files that no name fits.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)
    extra: list[Path] = field(default_factory=list)


def find_audio(root: Path, names: Iterable[str]) -> Found:
    """The audio file of every clip of ``names``, which are paths as annotations.csv gives them.

    A name with folders is a path below ``root`` or ``root/audio``. One without is looked for in ``root``, ``audio/``
    and the archives' own folders ``audio-0/`` … ``audio-18/`` (in either). Where no file has that very name, one with
    another ending stands in: ``x.WAV`` or ``x.flac`` for ``x.wav``.
    """
    listings = {folder: _audio_files(folder) for folder in _usual_folders(root)}
    places = {"": list(listings.values())}  # folder in a name → what lies where it may be
    found = Found()
    owners: dict[Path, str] = {}
    fitting: set[Path] = set()
    for name in names:
        folder, file = posixpath.split(posixpath.normpath(name.replace("\\", "/")))
        if folder == ".." or folder.startswith(("/", "../")):  # nothing outside of root is a clip of it
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
                f"{name} can be {files[0]} or {files[1]}; give folder and ending in the csv, or remove one of the files"
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
    """Every place where the data set's archives may have been unpacked."""
    return [folder for base in (root, root / "audio") for folder in (base, *sorted(base.glob("audio-*")))]


def _audio_files(folder: Path) -> dict[str, list[Path]]:
    """Name without ending → the audio files of that name in ``folder``, which need not exist."""
    files: dict[str, list[Path]] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        stem, ending = posixpath.splitext(name)
        if ending.lower() in AUDIO_SUFFIXES:
            files.setdefault(stem, []).append(folder / name)
    return files


def _fitting(name: str, listings: Iterable[dict[str, list[Path]]]) -> list[Path]:
    """The different files called ``name``; if there are none, those that differ in their ending only."""
    stem, ending = posixpath.splitext(name)
    stem = stem if ending.lower() in AUDIO_SUFFIXES else name
    files = [file for listing in listings for file in listing.get(stem, ())]
    if len(files) > 1:
        files = [file for file in files if file.name == name] or files
        files = [file for k, file in enumerate(files) if not any(file.samefile(other) for other in files[:k])]  # links
    return files
