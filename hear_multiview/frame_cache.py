"""A cache of front-end frames on disk, so that a second view or task of the same clips does not pay for the codec.

On where the environment variable ``HEAR_MULTIVIEW_CACHE`` names a folder. An entry is named by what determines it: the
sha256 of the front end's weights, its precision, sample rate, hop and dimensions, and the samples of the clip; so it
never has to be invalidated, and any number of processes may share a folder. It holds raw float32 frames [frame, dim]
followed by their sha256; an entry that does not match its own checksum is computed again, never served. Nothing is ever
deleted: remove the folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from hear_multiview.frontends import FrontEnd

VARIABLE = "HEAR_MULTIVIEW_CACHE"
#: Frames read at a time.
STRETCH = 1024


def folder() -> Path | None:
    """Where the cache is, or None where it is off."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


@contextmanager
def cached(where: Path) -> Iterator[None]:
    """The cache is in the folder ``where`` for a while."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(where)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def stream(frontend: FrontEnd, audio: Tensor) -> Iterator[Tensor]:
    """``frontend.stream(audio)``, for one clip [1, sample] from the cache where it holds it, into it where not.

    Raises:
        ValueError: the cache's folder cannot be used, or an entry cannot be read.
    """
    where = folder()
    if where is None or len(audio) != 1:
        yield from frontend.stream(audio)
        return
    path = where / f"{_key(frontend, audio)}.f32"
    with _opened(path) as entry:
        if frames := _frames_held(entry, frontend.dim):
            for start in range(0, frames, STRETCH):
                shape = (1, min(STRETCH, frames - start), frontend.dim)
                part = np.fromfile(entry, "<f4", count=shape[1] * shape[2])
                yield torch.from_numpy(part.reshape(shape)).to(audio.device)
            return
    with _writing(where) as writing:
        part_path, checksum = writing / "frames", hashlib.sha256()
        with part_path.open("wb") as file:
            for piece in frontend.stream(audio):
                data = piece.cpu().numpy().astype("<f4").tobytes()
                checksum.update(data)
                file.write(data)
                yield piece
            file.write(checksum.digest())
        part_path.replace(path)


def _key(frontend: FrontEnd, audio: Tensor) -> str:
    of_frames = f"{frontend.precision} {frontend.sample_rate} {frontend.hop} {frontend.dim}"
    digest = hashlib.sha256(f"{frontend.name} {frontend.digest} {of_frames} {audio.shape[1]}\n".encode())
    digest.update(audio.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _opened(path: Path) -> BinaryIO:
    """The entry ``path``, or what has no bytes where there is none."""
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return BytesIO()
    except OSError as error:
        raise ValueError(f"the cache entry {path} cannot be read ({error.strerror}): delete it") from error


@contextmanager
def _writing(where: Path) -> Iterator[Path]:
    """A folder in the cache ``where`` to write in, for a while."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        writing = tempfile.TemporaryDirectory(dir=where, prefix=".writing-")
    except OSError as error:
        raise ValueError(
            f"{where} cannot be the cache of frames ({error.strerror}): have {VARIABLE} name a folder to write in, or "
            "unset it"
        ) from error
    with writing as name:
        yield Path(name)


def _frames_held(entry: BinaryIO, dim: int) -> int:
    """How many frames ``entry`` holds, from where it then stands; 0 where it is not frames and their checksum."""
    size = entry.seek(0, os.SEEK_END) - 32
    entry.seek(0)
    if size <= 0 or size % (4 * dim):
        return 0
    checksum = hashlib.sha256()
    for start in range(0, size, 1 << 20):
        checksum.update(entry.read(min(1 << 20, size - start)))
    whole = entry.read() == checksum.digest()
    entry.seek(0)
    return size // (4 * dim) if whole else 0
