"""Check that the audio of a data set is complete and intact, by ``annotations.csv`` and the files on disk.

Headers and sizes reveal what a broken transfer or a full disk leaves behind. Only files with several channels, floating
point samples, a codec (FLAC) or unknown length are fully decoded; the others cannot have the faults that this finds. Of
all files the beginnings are decoded, to find recordings with several names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.dataset import audio
from sonyc_tasks.dataset.annotations import find_audio, iter_rows, read_labels, require_dataset
from sonyc_tasks.dataset.containers import sample_lengths
from sonyc_tasks.dataset.duplicates import duplicates
from sonyc_tasks.dataset.taxonomy import SAMPLE_RATE
from sonyc_tasks.threads import map_on_threads

#: What can be wrong with a clip, and what that means.
PROBLEMS = {
    "missing": "in annotations.csv, not on disk",
    "extra": "on disk, not in annotations.csv",
    "ambiguous": "its name matches several files, or its file several names",
    "unreadable": "not audio",
    "truncated": "length contradicts the header, or over 1 % shorter than most",
    "wrong rate": "not the sample rate of most",
    "two sensors": "the same recording under two sensors",
    "off scale": "samples that are NaN, infinite, or far beyond full scale",
}
#: What is not a fault, but good to know.
NOTES = {
    "duplicate": "the same recording twice under one sensor; build keeps both in one set",
    "antiphase": "channels cancel each other; only the loudest is read",
}

# Problems that downloading again does not fix, and what does.
_BY_HAND = {
    "extra": "remove them, or add their rows",
    "ambiguous": "give folder and ending in annotations.csv, or remove the other files",
    "two sensors": "remove the wrong rows from annotations.csv",
    "off scale": "divide every file by the same number (32768 for samples in 16-bit steps)",
}

_SHOWN = 3


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        clips, sensors: Their numbers in annotations.csv.
        sample_rate: In Hz, of most files; 0 if none can be read.
        seconds: Length of most files; 0 if none can be read.
        problems: Problem → names of files, for each of `PROBLEMS`. Equal recordings are one name, ``a.wav = b.wav``.
        notes: The same for `NOTES`.
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
        """Whether there are no problems."""
        return not any(self.problems.values())

    def table(self) -> str:
        """Format one line per problem, with the count and the first names, and a line of totals."""
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
        """Return one sentence that names the problems and the way out."""
        found = ", ".join(f"{len(names)} {problem}" for problem, names in self.problems.items() if names)
        concerned = {problem for problem, names in self.problems.items() if names}
        if concerned == {"extra"}:
            return f"{self.root} has files that annotations.csv does not name ({found}); {_BY_HAND['extra']}"
        if concerned <= set(_BY_HAND):
            ways = "; ".join(f"{problem} files: {_BY_HAND[problem]}" for problem in _BY_HAND if problem in concerned)
            return f"{self.root} has problems that downloading again does not fix ({found}); {ways}"
        delete = "delete the damaged files and " if concerned - {"missing", *_BY_HAND} else ""
        return f"{self.root} is incomplete ({found}); {delete}run python -m sonyc_tasks download {self.root} again"


def check(root: str | Path) -> Report:
    """Compare ``root/annotations.csv`` with the audio on disk, and read as much of the audio as needed.

    Audio is looked up as in `annotations.read_clips`. Nothing is written.

    Raises:
        ValueError: The folder is missing, or its annotations.csv is missing or malformed.
    """
    root = require_dataset(root)
    file = root / "annotations.csv"
    read_labels(file)  # only to check the file: it leaves out clips without labels, whose audio is not extra
    sensors = {name: sensor for _, sensor, name, _, _ in iter_rows(file)}
    files = find_audio(root, sensors)
    problems: dict[str, list[str]] = {problem: [] for problem in PROBLEMS}
    problems["missing"] = sorted(files.missing)
    problems["ambiguous"] = sorted(files.ambiguous)
    problems["extra"] = sorted(_shown(root, path) for path in files.extra)

    notes: dict[str, list[str]] = {note: [] for note in NOTES}
    paths = sorted(files.paths.values())
    faults = dict(zip(paths, map_on_threads(_inspect, paths, "reading headers", 16), strict=True))  # waits for the disk
    headers = [header for header, _ in faults.values() if header is not None]
    rate = Counter(header.sample_rate for header in headers).most_common(1)[0][0] if headers else 0
    seconds = Counter(round(header.seconds, 3) for header in headers).most_common(1)[0][0] if headers else 0.0
    for path, (header, fault) in faults.items():
        found = [] if fault is None else [fault]
        if header is not None and fault != "truncated" and header.seconds < 0.99 * seconds:
            found.append("truncated")
        if header is not None and header.sample_rate != rate:
            found.append("wrong rate")
        for what in found:
            (notes if what in NOTES else problems)[what].append(_shown(root, path))
    sensor_of = {path: sensors[name] for name, path in files.paths.items()}
    sound = (path for path, (header, fault) in faults.items() if header and fault not in ("truncated", "unreadable"))
    for group in duplicates(sound):
        one_sensor = len({sensor_of[path] for path in group}) == 1
        names = " = ".join(_shown(root, path) for path in group)
        (notes["duplicate"] if one_sensor else problems["two sensors"]).append(names)
    return Report(root, len(sensors), len(set(sensors.values())), rate, seconds, problems, notes)


def _shown(root: Path, path: Path) -> str:
    """Return the path of a file relative to the folder of the audio, or else of the data set."""
    base = root / "audio"
    name = path.relative_to(base if path.is_relative_to(base) else root).as_posix()
    return name.encode(errors="backslashreplace").decode()  # a name that is not UTF-8 cannot be printed


def _inspect(path: Path) -> tuple[audio.Header | None, str | None]:
    """Return the header of a file (None if it has none), and the first problem or note that applies."""
    try:
        header = audio.read_header(path, thorough=True)
    except ValueError:
        return None, "unreadable"
    if not header.whole or not header.frames:
        return header, "truncated"
    plain = header.subtype not in audio.FLOAT_SUBTYPES and sample_lengths(path) is not None
    if header.channels == 1 and plain:
        return header, None
    try:
        samples, _ = audio.decode(path)
    except ValueError:
        return header, "unreadable"
    if audio.scale_fault(samples) is not None:
        return header, "off scale"
    return header, None if audio.cancelling(samples) is None else "antiphase"
