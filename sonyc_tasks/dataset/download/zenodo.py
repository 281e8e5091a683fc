"""SONYC-UST-V2 from its Zenodo record to a folder that :func:`sonyc_tasks.dataset.annotations.read_clips` reads.

::

    <folder>/annotations.csv, dcase-ust-taxonomy.yaml
    <folder>/audio/SS_NNNNNN.wav    out of the archives, each of which is deleted once it is unpacked
    <folder>/x.part                 an unfinished transfer, continued by the next call
    <folder>/.download.json         which files of the record are complete, and the sizes of what came out of them

A file of the record is complete while everything that came out of it is there and has its size. What is complete is
not fetched again. One archive after the other is fetched, unpacked and deleted, so that the disk never has to hold all
archives beside all clips.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sonyc_tasks.dataset.download.archives import unpack_audio
from sonyc_tasks.dataset.download.http import fetch, md5_of, part_of, read_json

log = logging.getLogger(__name__)

#: Version 2.3 of SONYC-UST-V2, by Cartwright et al., CC BY 4.0.
RECORD = "https://zenodo.org/api/records/3966543"

_ANNOTATIONS = "annotations.csv"
# Two lists of this record's files give this md5 for annotations.csv, a third gives another. So neither the record nor
# this number is held to be infallible, and a file that agrees with neither is only warned of.
_ANNOTATIONS_MD5 = "70b507b15bb4cfcce4870925302f276b"
_ARCHIVE = ".tar.gz"
_MANIFEST = ".download.json"
# 18 510 clips of 960 kB are 17.8 GB, out of 13.3 GB of archives.
_UNPACKED = 1.4


@dataclass(frozen=True)
class RemoteFile:
    """A file of the record: its name, its size in bytes, its md5 in hexadecimal digits, and its address."""

    name: str
    size: int
    md5: str
    url: str

    @property
    def is_archive(self) -> bool:
        """Whether it is to be unpacked."""
        return self.name.endswith(_ARCHIVE)


def download(root: str | Path, *, record: str = RECORD, keep_archives: bool = False) -> None:
    """Fetch every file of a Zenodo record into ``root``, check its md5, and unpack the archives into ``root/audio``.

    record: the record's address in Zenodo's API. keep_archives: do not delete the archives that are unpacked now.
    Goes on where an earlier call stopped. Warns where annotations.csv has another md5 than it should.

    Raises ValueError for a record that is none, a transfer or an archive that is not what it should be, and a file in
    ``root`` that is not the record's; OSError where the connection stays broken or the disk is too small.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise ValueError(f"{root} is a file; name a folder")
    state = _State.load(root)
    if state.record == record and state.files and not state.pending():  # then nobody has to be asked
        log.info("%s: all %d files are there, nothing to fetch", root, len(state.files))
        return
    state.record, state.files = record, read_record(record)
    pending = state.pending()
    root.mkdir(parents=True, exist_ok=True)
    _require_space(root, pending, keep_archives)
    for number, file in enumerate(state.files, start=1):
        if file not in pending:
            continue
        with _full_disk_told(root):
            title = f"{file.name} ({number} of {len(state.files)})"
            state.add(file, _obtain(root, file, title, state.names_beside(file)))
        if file.is_archive and not keep_archives:
            (root / file.name).unlink()
    state.save()
    log.info("%s: all %d files of %s are there", root, len(state.files), record)


def read_record(url: str) -> list[RemoteFile]:
    """The files of a Zenodo record, the small ones first, then the archives in order of their numbers.

    Raises ValueError for an answer that does not describe a record with annotations.csv, and what
    :func:`sonyc_tasks.dataset.download.http.read_json` raises.
    """
    answer = read_json(url)
    try:
        files = [
            RemoteFile(
                entry["key"], int(entry["size"]), entry["checksum"].removeprefix("md5:").lower(), entry["links"]["self"]
            )
            for entry in answer["files"]
        ]
        # A name from the network becomes a path here, so it has to be plain.
        odd = [file.name for file in files if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", file.name, re.ASCII)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{url} does not list files with their sizes and md5s; give the address of a record in Zenodo's API"
        ) from error
    if odd:
        raise ValueError(f"{url} lists a file with the odd name {odd[0]!r}; give the record of SONYC-UST-V2")
    if _ANNOTATIONS not in (file.name for file in files):
        raise ValueError(f"{url} lists no {_ANNOTATIONS}; give the record of SONYC-UST-V2")
    numbered = {file: [int(digits) for digits in re.findall(r"\d+", file.name)] for file in files}
    return sorted(files, key=lambda file: (file.is_archive, numbered[file], file.name))


def _obtain(root: Path, file: RemoteFile, title: str, taken: Collection[str]) -> dict[str, int]:
    """Fetch and unpack one file; what came out of it: path under ``root`` → size.

    taken: names of audio files that other archives gave.
    """
    path, part = root / file.name, part_of(root / file.name)
    if path.exists():  # from a call that stopped before unpacking it, or put there by hand
        if path.stat().st_size != file.size or not _is_right(file, md5_of(path)):
            raise ValueError(f"{path} is not the record's file of that name; move it away and run the command again")
    else:
        md5 = fetch(file.url, path, size=file.size, title=f"fetching {title}")
        if not _is_right(file, md5):
            part.unlink()
            raise ValueError(
                f"{part} does not have the md5 that the record says, {file.md5}, and was deleted; run the command again"
            )
        part.replace(path)
    if not file.is_archive:
        return {file.name: file.size}
    sizes = unpack_audio(path, root / "audio", title=f"unpacking {title}", taken=taken)
    return {f"audio/{name}": size for name, size in sizes.items()}


def _is_right(file: RemoteFile, md5: str) -> bool:
    if file.name != _ANNOTATIONS:
        return md5 == file.md5
    if md5 not in (file.md5, _ANNOTATIONS_MD5):
        warnings.warn(
            f"{_ANNOTATIONS} has md5 {md5}, where the record says {file.md5}; it is kept, but its labels may not be "
            "those of published results",
            stacklevel=2,
        )
    return True


def _require_space(root: Path, pending: Sequence[RemoteFile], keep_archives: bool) -> None:
    """OSError where the disk cannot hold what is still to come, at the moment when it holds most."""
    archives = [0]
    needed = 0.0
    for file in pending:
        part = part_of(root / file.name)
        here = next((path.stat().st_size for path in (root / file.name, part) if path.exists()), 0)
        missing = max(0, file.size - here)
        if file.is_archive:
            archives.append(missing)
            needed += _UNPACKED * file.size
        else:
            needed += missing
    needed += sum(archives) if keep_archives else max(archives)
    free = shutil.disk_usage(root).free
    if needed > free:
        raise OSError(
            f"the download needs {needed / 1e9:.1f} GB and the disk of {root} has {free / 1e9:.1f} GB free; make room, "
            "or name a folder on another disk"
        )


@contextmanager
def _full_disk_told(root: Path) -> Iterator[None]:
    """The system's own words for a full disk say neither which one nor what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            f"the disk of {root} is full; make room and run the command again, it goes on from there"
        ) from error


@dataclass
class _State:
    """What ``.download.json`` remembers. ``done``: name of a file → its md5, and path → size of what came out of it."""

    root: Path
    record: str
    files: list[RemoteFile]
    done: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, root: Path) -> _State:
        path = root / _MANIFEST
        if not path.exists():
            return cls(root, "", [], {})
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(root, kept["record"], [RemoteFile(**file) for file in kept["files"]], dict(kept["done"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be understood; delete it, and everything is fetched again") from error

    def pending(self) -> list[RemoteFile]:
        """The files that are not complete."""
        return [file for file in self.files if not self._has(file)]

    def names_beside(self, file: RemoteFile) -> set[str]:
        """Names of the audio files that came out of the record's other archives."""
        others = {other.name for other in self.files} - {file.name}
        return {Path(path).name for name in others for path in self.done.get(name, {"sizes": {}})["sizes"]}

    def add(self, file: RemoteFile, sizes: dict[str, int]) -> None:
        """Remember that a file is complete."""
        self.done[file.name] = {"md5": file.md5, "sizes": sizes}
        self.save()

    def save(self) -> None:
        """Write it down, in one go: a half-written memory would cost the whole download."""
        content = {"record": self.record, "files": [asdict(file) for file in self.files], "done": self.done}
        path = self.root / _MANIFEST
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, path)

    def _has(self, file: RemoteFile) -> bool:
        done = self.done.get(file.name)
        if done is None or done["md5"] != file.md5:
            return False
        try:
            return all((self.root / path).stat().st_size == size for path, size in done["sizes"].items())
        except OSError:
            return False
