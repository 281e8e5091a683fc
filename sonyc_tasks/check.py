"""Is the audio of a data set all there and whole: ``annotations.csv`` against the headers of the files on disk.

Headers and sizes are enough to find what a broken transfer or a full disk leaves behind. Of the audio only the
beginnings are decoded, and where two are equal the rest, to find recordings with several names.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
from tqdm import tqdm

from sonyc_tasks.annotations import _audio_files, _rows, read_labels
from sonyc_tasks.duplicates import duplicates
from sonyc_tasks.taxonomy import SAMPLE_RATE

#: What can be wrong with a clip, and what that means.
PROBLEMS = {
    "missing": "in annotations.csv, not on disk",
    "extra": "on disk, not in annotations.csv",
    "unreadable": "no audio",
    "truncated": "ends before its header says, or over 1 % shorter than most",
    "wrong rate": "not the sample rate of most",
    "two sensors": "the same recording under two sensors",
}
#: What is no fault, and good to know.
NOTES = {"duplicate": "the same recording twice under one sensor; build keeps them in one set"}

_SHOWN = 3
# Programs that write into a pipe cannot know the length, and put one of the largest numbers there.
_LENGTH_UNKNOWN = 0x7FFF_F000


@dataclass(frozen=True)
class Report:
    """What :func:`check` found. ``problems``: problem → names of the files, for each of :data:`PROBLEMS`; ``notes``:
    the same for :data:`NOTES`. Files that are the same recording are one name, ``a.wav = b.wav``.

    ``clips`` and ``sensors`` count what annotations.csv names. ``sample_rate`` (Hz) and ``seconds`` are those of most
    files, and 0 where none can be read.
    """

    root: Path
    clips: int
    sensors: int
    sample_rate: int
    seconds: float
    problems: dict[str, list[str]]
    notes: dict[str, list[str]]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.problems.values())

    def table(self) -> str:
        """One line a problem, with the count and the first names, and a line of totals."""
        rows = [("problem", "files", "meaning, and the first names")]
        for problem, names in [*self.problems.items(), *self.notes.items()]:
            more = ", …" if len(names) > _SHOWN else ""
            first = f": {', '.join(names[:_SHOWN])}{more}" if names else ""
            rows.append((problem, str(len(names)), {**PROBLEMS, **NOTES}[problem] + first))
        lines = [f"{problem:<12}{count:>7}  {text}" for problem, count, text in rows]
        usual = f"most have {self.sample_rate} Hz and {self.seconds:g} s" if self.sample_rate else "none can be read"
        published = f" (SONYC-UST-V2: {SAMPLE_RATE} Hz)" if self.sample_rate not in (0, SAMPLE_RATE) else ""
        lines.append(f"{self.clips} clips of {self.sensors} sensors; {usual}{published}")
        return "\n".join(lines)

    def advice(self) -> str:
        """One sentence that names the problems and the way out."""
        found = ", ".join(f"{len(names)} {problem}" for problem, names in self.problems.items() if names)
        concerned = {problem for problem, names in self.problems.items() if names}
        if concerned == {"extra"}:
            return f"{self.root} has files that annotations.csv does not name ({found}); remove them, or add their rows"
        if concerned == {"two sensors"}:
            return f"{self.root} has recordings under two sensors ({found}); remove the wrong rows from annotations.csv"
        delete = "delete the damaged files and " if concerned - {"missing", "extra", "two sensors"} else ""
        return f"{self.root} is not whole ({found}); {delete}run python -m sonyc_tasks download {self.root} again"


def check(root: str | Path) -> Report:
    """Compare ``root/annotations.csv`` with the audio on disk, read the header of every audio file, find duplicates.

    Audio is looked for where :func:`sonyc_tasks.annotations.read_clips` does. Writes nothing.

    Raises ValueError for a missing folder and for an annotations.csv that is missing or malformed.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give the one that holds annotations.csv and the audio")
    file = root / "annotations.csv"
    read_labels(file)  # for its checks; it leaves out clips without labels, which are no extra files
    with file.open(newline="", encoding="utf-8-sig") as stream:
        sensors = {name: sensor for _, sensor, name, _, _ in _rows(file, csv.reader(stream))}
    on_disk = _audio_files(root)
    stems = {Path(name).stem for name in sensors}
    problems: dict[str, list[str]] = {problem: [] for problem in PROBLEMS}
    problems["missing"] = sorted(name for name in sensors if Path(name).stem not in on_disk)
    problems["extra"] = sorted(path.name for stem, path in on_disk.items() if stem not in stems)

    headers = dict(_headers([path for stem, path in sorted(on_disk.items()) if stem in stems]))
    read = [header for header in headers.values() if header is not None]
    rate = Counter(header.sample_rate for header in read).most_common(1)[0][0] if read else 0
    seconds = Counter(round(header.seconds, 3) for header in read).most_common(1)[0][0] if read else 0.0
    for path, header in headers.items():
        if header is None:
            problems["unreadable"].append(path.name)
            continue
        if not header.whole or header.seconds < 0.99 * seconds:
            problems["truncated"].append(path.name)
        if header.sample_rate != rate:
            problems["wrong rate"].append(path.name)
    notes: dict[str, list[str]] = {note: [] for note in NOTES}
    sensor_of = {Path(name).stem: sensor for name, sensor in sensors.items()}
    for group in duplicates(path for path, header in headers.items() if header is not None and header.whole):
        one_sensor = len({sensor_of[path.stem] for path in group}) == 1
        (notes["duplicate"] if one_sensor else problems["two sensors"]).append(" = ".join(path.name for path in group))
    return Report(root, len(sensors), len(set(sensors.values())), rate, seconds, problems, notes)


@dataclass(frozen=True)
class _Header:
    sample_rate: int  # Hz
    seconds: float
    whole: bool  # the file goes on to where its header says that it ends


def _headers(paths: list[Path]) -> Iterator[tuple[Path, _Header | None]]:
    """Every path with its header, None where there is none. In threads: it is waiting for the disk, mostly."""
    with ThreadPoolExecutor() as pool:
        yield from zip(paths, tqdm(pool.map(_header, paths), desc="reading headers", total=len(paths)), strict=True)


def _header(path: Path) -> _Header | None:
    try:
        with soundfile.SoundFile(str(path)) as file:
            return _Header(file.samplerate, file.frames / file.samplerate, _is_whole(path, file))
    except (soundfile.LibsndfileError, OSError):
        return None


def _is_whole(path: Path, file: soundfile.SoundFile) -> bool:
    if file.frames == 0:
        return False
    if file.format.startswith("WAV"):
        # libsndfile makes the best of a WAV file that ends early: it counts the frames that are there.
        return _wav_is_whole(path)
    try:
        file.seek(file.frames - 1)
        return len(file.read(1)) == 1
    except soundfile.LibsndfileError:  # of a FLAC file that ends early
        return False


def _wav_is_whole(path: Path) -> bool:
    """Whether the samples of a RIFF file are as long as announced. Chunks: name, length (4 bytes, little end first)."""
    end = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return True  # other kinds have longer numbers, and are not what data sets come in
        file.seek(12)
        while len(head := file.read(8)) == 8:
            length = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return file.tell() + length <= end or length >= _LENGTH_UNKNOWN
            file.seek(length + length % 2, os.SEEK_CUR)  # chunks begin at even places
    return False
