"""The audio out of a ``.tar.gz`` archive, into one folder, without trust in the names that the archive gives.

Only the base name of a member counts: ``audio/00_000066.wav`` and ``audio-0/00_000066.wav`` both become
``00_000066.wav``. A file gets its final name only when its whole archive has been read.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path

from tqdm import tqdm

#: Endings of audio files, in lower case; any case is found.
AUDIO_SUFFIXES = (".wav", ".flac")

# Inside the target folder, not beside it: that one may be a link to another disk, where os.replace cannot go.
_TEMPORARY = ".unpacking"
_BLOCK = 1 << 18


def unpack_audio(
    archive: str | Path, folder: str | Path, *, title: str | None = None, taken: Collection[str] = ()
) -> dict[str, int]:
    """Put the audio files of ``archive`` into ``folder`` and return their sizes in bytes, by name.

    Files of the same name are replaced, but for those of other archives, ``taken``; members that are no audio are left
    out. ``title`` stands before the progress bar. After an interruption, calling it again does the whole archive again.

    Raises ValueError, with nothing unpacked, where the archive is damaged, holds no audio, holds a link, a device or a
    name that leads out of its folder, or holds one name twice or a taken one; OSError where the disk does not take the
    files.
    """
    archive, folder = Path(archive), Path(folder)
    temporary = folder / _TEMPORARY
    folder.mkdir(parents=True, exist_ok=True)
    if temporary.exists():
        shutil.rmtree(temporary)  # left by a call that was killed
    temporary.mkdir()
    try:
        sizes = _extract(archive, temporary, title or f"unpacking {archive.name}")
        if both := sorted(sizes.keys() & set(taken)):
            raise ValueError(
                f"{archive} holds {both[0]}, as another archive does; unpack each by hand into a folder of its own, "
                "and give the folders in annotations.csv"
            )
        for name in sizes:
            os.replace(temporary / name, folder / name)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{archive} is damaged ({error}); delete it and fetch it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sizes


def _extract(archive: Path, folder: Path, title: str) -> dict[str, int]:
    """Name → size of the audio files, written into ``folder``, which is empty."""
    sizes: dict[str, int] = {}
    with (
        archive.open("rb") as raw,
        gzip.open(raw) as unzipped,
        tqdm(desc=title, total=archive.stat().st_size, unit="B", unit_scale=True) as bar,
        tarfile.open(fileobj=unzipped, mode="r:") as tar,
    ):
        for member in tar:
            name = _audio_name(archive, member)
            if name is not None:
                if name in sizes:
                    raise ValueError(f"{archive} holds two files named {name}; unpack it by hand and keep one of them")
                # Not tar.extract: of the member only its bytes are taken, and they go where we say.
                content = tar.extractfile(member)
                if content is not None:
                    with (folder / name).open("wb") as file:
                        shutil.copyfileobj(content, file, _BLOCK)
                sizes[name] = (folder / name).stat().st_size
            bar.update(raw.tell() - bar.n)
        while unzipped.read(_BLOCK):  # to the very end, where gzip keeps its checksum
            pass
    if not sizes:
        raise ValueError(f"{archive} holds no audio files ({', '.join(AUDIO_SUFFIXES)}); fetch another archive")
    return sizes


def _audio_name(archive: Path, member: tarfile.TarInfo) -> str | None:
    """The base name of an audio file, None for a folder or another file; ValueError for what no data set needs."""
    parts = member.name.replace("\\", "/").split("/")
    if not (member.isreg() or member.isdir()):
        fault = "is a link or a device"
    elif parts[0] == "" or ":" in parts[0]:  # /x, and on Windows \x and C:x
        fault = "has an absolute name"
    elif ".." in parts:
        fault = "leads out of its folder"
    else:
        name = parts[-1]
        hidden = name.startswith(".")  # macOS adds ._x.wav to x.wav, which is no audio
        return name if member.isreg() and name.lower().endswith(AUDIO_SUFFIXES) and not hidden else None
    raise ValueError(f"{archive}: the member {member.name!r} {fault}; do not use this archive, fetch another copy")
