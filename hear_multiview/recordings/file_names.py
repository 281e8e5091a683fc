"""What the path of a recording says: when it was made, and which folder it belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import PurePath

#: Year, month, day, hour and minute, with or without seconds, with or without separators.
_DATE_AND_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)"  # the date
    r"(?:[T $]|[-_]{0,2})"
    r"(\d\d)([-_:.h]?)(\d\d)(?:\6(\d\d)|[-_:.m](\d\d))?(?!\d)"
)
#: The first AudioMoth firmware names a recording by its Unix time in hexadecimal.
_AUDIOMOTH = re.compile(r"[0-9A-F]{8}")
#: AudioMoth came out in 2017; this one holds until 2038.
_AUDIOMOTH_YEARS = range(2017, 2038)


def recorded_at(path: str) -> datetime | None:
    """The date and time in the name of a recording, or None.

    Understood are a date and a time of day with or without separators and seconds, anywhere in the name, and the names
    that are a Unix time in eight hexadecimal digits, with a letter among them (AudioMoth's; this time is UTC).

    >>> str(recorded_at("roof/S4A_20260131_235900.wav"))
    '2026-01-31 23:59:00'
    >>> str(recorded_at("2026-01-31T23-59.flac"))
    '2026-01-31 23:59:00'
    >>> str(recorded_at("5E90A4F0.WAV"))
    '2020-04-10 16:55:12'
    >>> recorded_at("2026/clip_0131.wav") is None
    True
    """
    stem = PurePath(path).stem
    if _AUDIOMOTH.fullmatch(stem) and not stem.isdigit():
        time = datetime.fromtimestamp(int(stem, 16), timezone.utc).replace(tzinfo=None)
        return time if time.year in _AUDIOMOTH_YEARS else None
    for match in _DATE_AND_TIME.finditer(stem):
        year, _, month, day, hour, _, minute, *seconds = match.groups()
        second = next(filter(None, seconds), "0")
        try:
            return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
        except ValueError:  # digits that only look like a date
            continue
    return None


def common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that all recordings lie in.

    >>> common_folder(["/data/roof/1/a.wav", "/data/roof/2/b.wav"])
    '/data/roof'
    >>> common_folder(["a.wav", "b/c.wav"])
    ''
    """
    folders = {os.path.dirname(path) for path in paths}
    if len({os.path.isabs(folder) for folder in folders}) > 1:
        return ""
    return os.path.commonpath(folders)


def folders(paths: Sequence[str]) -> list[str]:
    """For each recording, the first folder in which the paths differ; `.` for one that lies above.

    >>> folders(["data/roof/jan/a.wav", "data/yard/b.wav", "data/c.wav"])
    ['roof', 'yard', '.']
    """
    common = common_folder(paths)
    inside = [PurePath(os.path.relpath(path, common) if common else path).parts for path in paths]
    return [parts[0] if len(parts) > 1 else "." for parts in inside]
