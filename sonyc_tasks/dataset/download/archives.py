"""Unpack the audio of a ``.tar.gz`` archive into one folder, without trusting the archive's names.

Only the base name of a member counts: ``audio/00_000066.wav`` and ``audio-0/00_000066.wav`` both become
``00_000066.wav``. Files get their final names once the whole archive has been read.
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

from sonyc_tasks.files import sync, sync_tree

#: Suffixes of audio files, in lower case; any case is accepted.
AUDIO_SUFFIXES = (".wav", ".flac")

# Inside the target folder, which may be a link to another disk, where os.replace does not work.
_TEMPORARY = ".unpacking"
_BLOCK = 1 << 18
#: An archive may unpack to so many times its size. SONYC-UST-V2's do to 1.4 times; silence compresses a thousandfold.
_MAX_GROWTH = 100
#: A small archive may unpack to so many bytes.
_SMALL = 1 << 26


def unpack_audio(
    archive: str | Path, folder: str | Path, *, title: str | None = None, taken: Collection[str] = ()
) -> dict[str, int]:
    """Unpack the audio files of ``archive`` into ``folder``; other members are skipped.

    After an interruption, the next call unpacks the whole archive again.

    Args:
        archive: The archive.
        folder: Where to; existing files with the same names are replaced.
        title: Title of the progress bar.
        taken: Names of files from other archives, which are not replaced.

    Returns:
        Name → size in bytes.

    Raises:
        ValueError: The archive is damaged, has no audio, has a link, a device or a path out of its folder, is very much
            larger unpacked, or has a name twice or a taken one; nothing was unpacked.
        OSError: The files cannot be written.
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
                f"{archive} has {both[0]}, as has another archive; unpack each by hand into its own folder, and give "
                "the folders in annotations.csv"
            )
        sync_tree(temporary)
        for name in sizes:
            os.replace(temporary / name, folder / name)
        sync(folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{archive} is damaged ({error}); delete it and download it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sizes


def _extract(archive: Path, folder: Path, title: str) -> dict[str, int]:
    """Write the audio files into the empty ``folder``; return name → size."""
    sizes: dict[str, int] = {}
    most = max(_SMALL, _MAX_GROWTH * archive.stat().st_size)
    with (
        archive.open("rb") as raw,
        gzip.open(raw) as unzipped,
        tqdm(desc=title, total=archive.stat().st_size, unit="B", unit_scale=True) as bar,
        tarfile.open(fileobj=unzipped, mode="r:") as tar,
    ):
        for member in tar:
            name = _audio_name(archive, member)
            if member.offset_data + member.size > most:
                raise ValueError(f"{archive} grows to {_MAX_GROWTH} times its size or more; download another copy")
            if name is not None:
                if name in sizes:
                    raise ValueError(f"{archive} has two files named {name}; unpack it by hand and keep one of them")
                # Not tar.extract: only the bytes of a member are used, and they are written where we say.
                content = tar.extractfile(member)
                if content is not None:
                    with (folder / name).open("wb") as file:
                        shutil.copyfileobj(content, file, _BLOCK)
                sizes[name] = (folder / name).stat().st_size
            bar.update(raw.tell() - bar.n)
        while unzipped.read(_BLOCK):  # up to gzip's checksum at the very end
            pass
    if not sizes:
        raise ValueError(f"{archive} has no audio files ({', '.join(AUDIO_SUFFIXES)}); download another archive")
    return sizes


def _audio_name(archive: Path, member: tarfile.TarInfo) -> str | None:
    """Return the base name of an audio file, None for other files; ValueError for what no data set needs."""
    parts = member.name.replace("\\", "/").split("/")
    if not (member.isreg() or member.isdir()):
        fault = "is a link or a device"
    elif parts[0] == "" or ":" in parts[0]:  # /x, and on Windows \x and C:x
        fault = "has an absolute name"
    elif ".." in parts:
        fault = "leads out of its folder"
    else:
        name = parts[-1]
        hidden = name.startswith(".")  # macOS adds ._x.wav to x.wav, which is not audio
        return name if member.isreg() and name.lower().endswith(AUDIO_SUFFIXES) and not hidden else None
    raise ValueError(f"{archive}: the member {member.name!r} {fault}; do not use this archive, download another copy")
