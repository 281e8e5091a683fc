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
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sonyc_tasks.taxonomy import COARSE, NOT_LABELLED

LABEL_RULES = ("majority", "minority", "verified")

_PRESENCE = tuple(f"{name}_presence" for name in COARSE)
_NEEDED = ("sensor_id", "audio_filename", "annotator_id", *_PRESENCE)


@dataclass(frozen=True)
class Clip:
    """One recording: its name in ``annotations.csv``, its sensor, where it lies, the coarse classes heard in it."""

    name: str
    sensor: int
    path: Path
    sources: tuple[str, ...]


def read_clips(root: str | Path, labels: str = "majority") -> list[Clip]:
    """The clips of the data set in ``root``, sorted by name, labelled by the rule ``labels`` (see the module).

    Audio is looked for in ``root``, ``audio/`` and the archives' own folders ``audio-0/`` … ``audio-18/`` (in either);
    a FLAC file stands in for the WAV file that the csv names. Clips that the rule leaves without any label
    information are left out, with a warning that counts them.

    Raises ValueError for a missing folder or file, a malformed csv, and clips that are not on disk.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give the one that holds annotations.csv and the audio")
    labelled = read_labels(root / "annotations.csv", labels)
    on_disk = _audio_files(root)
    missing = [name for name in labelled if Path(name).stem not in on_disk]
    if missing:
        if len(missing) == len(labelled):
            raise ValueError(
                f"none of the {len(labelled)} clips of {root / 'annotations.csv'} is on disk (first: {missing[0]}); "
                f"put the audio files into {root / 'audio'}"
            )
        raise ValueError(
            f"{len(missing)} of the {len(labelled)} clips of {root / 'annotations.csv'} are not on disk "
            f"(first: {missing[0]}); put them into {root / 'audio'}, or remove their rows"
        )
    return [Clip(name, sensor, on_disk[Path(name).stem], sources) for name, (sensor, sources) in labelled.items()]


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


def _audio_files(root: Path) -> dict[str, Path]:
    """Stem → audio file, of every place where the data set's archives may have been unpacked."""
    found: dict[str, Path] = {}
    for base in (root, root / "audio"):
        for folder in (base, *sorted(base.glob("audio-*"))):
            if folder.is_dir():
                for path in folder.iterdir():
                    if path.suffix in (".wav", ".flac") and (path.stem not in found or path.suffix == ".wav"):
                        found[path.stem] = path
    return found
