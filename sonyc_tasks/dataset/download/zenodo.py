"""Download SONYC-UST-V2 from its Zenodo record to a folder that `sonyc_tasks.dataset.annotations.read_clips` reads.

::

    <folder>/annotations.csv, dcase-ust-taxonomy.yaml
    <folder>/audio/SS_NNNNNN.wav    from the archives, each of which is deleted after unpacking
    <folder>/x.part                 an unfinished download, resumed by the next call
    <folder>/.download.json         the complete files of the record, and the sizes of what was unpacked from them

A file of the record is complete while everything that came from it exists and has its size. Complete files are not
downloaded again. Archives are downloaded, unpacked and deleted one by one, so that the disk never holds all archives
and all clips at once.
"""

from __future__ import annotations

import errno
import json
import logging
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
from sonyc_tasks.files import held_folder, read_json_object, sync, write_atomic

log = logging.getLogger(__name__)

#: Version 2.3 of SONYC-UST-V2, by Cartwright et al., CC BY 4.0.
RECORD = "https://zenodo.org/api/records/3966543"

_ANNOTATIONS = "annotations.csv"
# Two lists of this record's files give this md5 for annotations.csv, a third gives another. So neither the record nor
# this number is trusted completely, and a file that matches neither only causes a warning.
_ANNOTATIONS_MD5 = "70b507b15bb4cfcce4870925302f276b"
_ARCHIVE = ".tar.gz"
_MANIFEST = ".download.json"
# 18,510 clips of 960 kB are 17.8 GB, from 13.3 GB of archives.
_UNPACKED = 1.4


@dataclass(frozen=True)
class RemoteFile:
    """A file of the record: its name, size in bytes, md5 in hexadecimal, and address."""

    name: str
    size: int
    md5: str
    url: str

    @property
    def is_archive(self) -> bool:
        """Whether it is to be unpacked."""
        return self.name.endswith(_ARCHIVE)


def download(root: str | Path, *, record: str = RECORD, keep_archives: bool = False) -> None:
    """Download every file of a Zenodo record, check its md5, and unpack the archives into ``root/audio``.

    Resumes where an earlier call stopped. Warns if annotations.csv has an unexpected md5.

    Args:
        root: The folder to write.
        record: The record's address in Zenodo's API.
        keep_archives: Keep the archives after unpacking them.

    Raises:
        ValueError: The record, a download or an archive is not what it should be, or ``root`` has a file with the name,
            but not the content, of the record's.
        OSError: The connection keeps breaking, or the disk is too small.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise ValueError(f"{root} is a file; give a folder")
    with held_folder(root):
        _complete(root, record, keep_archives)


def _complete(root: Path, record: str, keep_archives: bool) -> None:
    """`download`, by the only command that writes to ``root``."""
    state = _State.load(root)
    state.delete_unpacked()  # by a call that was killed before it did
    if state.record == record and state.files and not state.pending():  # then no request is needed
        log.info("%s: all %d files are complete", root, len(state.files))
        return
    state.record, state.files = record, read_record(record)
    pending = state.pending()
    root.mkdir(parents=True, exist_ok=True)
    _require_space(root, pending, keep_archives)
    for number, file in enumerate(state.files, start=1):
        if file not in pending:
            continue
        with _explain_full_disk(root):
            title = f"{file.name} ({number} of {len(state.files)})"
            sizes = _fetch_and_unpack(root, file, title, state.names_from_others(file))
            state.add(file, sizes, delete=file.is_archive and not keep_archives)
        state.delete_unpacked()
    state.save()
    log.info("%s: all %d files of %s are complete", root, len(state.files), record)


def read_record(url: str) -> list[RemoteFile]:
    """Read the files of a Zenodo record: the small ones, then the archives by number.

    Raises:
        ValueError, OSError: The answer does not describe a record with annotations.csv, or as `http.read_json`.
    """
    answer = read_json(url)
    try:
        files = [
            RemoteFile(
                entry["key"], int(entry["size"]), entry["checksum"].removeprefix("md5:").lower(), entry["links"]["self"]
            )
            for entry in answer["files"]
        ]
        # Names from the network become paths, so they must be plain.
        odd = [file.name for file in files if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", file.name, re.ASCII)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{url} does not list files with their sizes and md5s; give the address of a record in Zenodo's API"
        ) from error
    if odd:
        raise ValueError(f"{url} lists a file with the unsafe name {odd[0]!r}; give the record of SONYC-UST-V2")
    if _ANNOTATIONS not in (file.name for file in files):
        raise ValueError(f"{url} lists no {_ANNOTATIONS}; give the record of SONYC-UST-V2")
    numbered = {file: [int(digits) for digits in re.findall(r"\d+", file.name)] for file in files}
    return sorted(files, key=lambda file: (file.is_archive, numbered[file], file.name))


def _fetch_and_unpack(root: Path, file: RemoteFile, title: str, taken: Collection[str]) -> dict[str, int]:
    """Download and unpack one file; ``taken`` are names of audio files from other archives.

    Returns:
        What came from it: path below ``root`` → size.
    """
    path, part = root / file.name, part_of(root / file.name)
    if path.exists():  # from a call that stopped before unpacking, or copied by hand
        if path.stat().st_size != file.size or not _is_right(file, md5_of(path)):
            raise ValueError(f"{path} is not the record's file of that name; move it away and run the command again")
    else:
        md5 = fetch(file.url, path, size=file.size, title=f"fetching {title}")
        if not _is_right(file, md5):
            part.unlink()
            raise ValueError(
                f"{part} does not have the record's md5, {file.md5}, and was deleted; run the command again"
            )
        sync(part)
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
            f"{_ANNOTATIONS} has md5 {md5}, but the record says {file.md5}; it is kept, but its labels may differ from "
            "those of published results",
            stacklevel=2,
        )
    return True


def _require_space(root: Path, pending: Sequence[RemoteFile], keep_archives: bool) -> None:
    """Raise OSError if the disk cannot hold the rest of the download at its peak."""
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
            f"the download needs {needed / 1e9:.1f} GB, but the disk of {root} has {free / 1e9:.1f} GB free; make "
            "room, or give a folder on another disk"
        )


@contextmanager
def _explain_full_disk(root: Path) -> Iterator[None]:
    """Say which disk is full and what to do, which the system's message does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(f"the disk of {root} is full; make room and run the command again to resume") from error


@dataclass
class _State:
    """The content of ``.download.json``; ``done``: name of a file → its md5, path → size of what came from it."""

    root: Path
    record: str
    files: list[RemoteFile]
    done: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, root: Path) -> _State:
        path = root / _MANIFEST
        if not path.exists():
            return cls(root, "", [], {})
        remedy = "delete it to download everything again"
        kept = read_json_object(path, remedy)
        try:
            return cls(root, kept["record"], [RemoteFile(**file) for file in kept["files"]], dict(kept["done"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} has the wrong content; {remedy}") from error

    def pending(self) -> list[RemoteFile]:
        """List the files that are not complete."""
        return [file for file in self.files if not self._has(file)]

    def names_from_others(self, file: RemoteFile) -> set[str]:
        """Return the names of the audio files from the record's other archives."""
        others = {other.name for other in self.files} - {file.name}
        return {Path(path).name for name in others for path in self.done.get(name, {"sizes": {}})["sizes"]}

    def add(self, file: RemoteFile, sizes: dict[str, int], *, delete: bool) -> None:
        """Note that a file is complete, and whether it is to be deleted now that what came from it is there."""
        self.done[file.name] = {"md5": file.md5, "sizes": sizes, "delete": delete}
        self.save()

    def delete_unpacked(self) -> None:
        """Delete archives that are not to be kept, once what came from them is there."""
        for file in self.files:
            if self._has(file) and self.done[file.name].get("delete"):
                (self.root / file.name).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the file atomically: a broken one would cost the whole download."""
        content = {"record": self.record, "files": [asdict(file) for file in self.files], "done": self.done}
        write_atomic(self.root / _MANIFEST, json.dumps(content))

    def _has(self, file: RemoteFile) -> bool:
        done = self.done.get(file.name)
        if done is None or done["md5"] != file.md5:
            return False
        try:
            return all((self.root / path).stat().st_size == size for path, size in done["sizes"].items())
        except OSError:
            return False
