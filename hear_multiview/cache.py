"""A cache of front-end frames on disk, so that a second view or task of the same clips does not pay for the codec.

On where the environment variable ``HEAR_MULTIVIEW_CACHE`` names a folder. An entry is named by what determines it: the
sha256 of the front end's weights, its precision and the samples of the clip; so it never has to be invalidated, and
any number of processes may share a folder. It holds raw float32 frames [frame, dim] followed by their sha256; an entry
that does not match its own checksum is computed again, never served. Nothing is ever deleted: remove the folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """``frontend.stream(audio)``, for one clip [1, sample] from the cache where it holds it, into it where not."""
    where = folder()
    if where is None or len(audio) != 1:
        yield from frontend.stream(audio)
        return
    path = where / f"{_key(frontend, audio)}.f32"
    if frames := _frames_held(path, frontend.dim):
        for start in range(0, frames, STRETCH):
            shape = (1, min(STRETCH, frames - start), frontend.dim)
            part = np.fromfile(path, "<f4", count=shape[1] * shape[2], offset=4 * start * frontend.dim)
            yield torch.from_numpy(part.reshape(shape)).to(audio.device)
        return
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where, prefix=".writing-") as writing:
        part_path, checksum = Path(writing) / "frames", hashlib.sha256()
        with part_path.open("wb") as file:
            for piece in frontend.stream(audio):
                data = piece.cpu().numpy().astype("<f4").tobytes()
                checksum.update(data)
                file.write(data)
                yield piece
            file.write(checksum.digest())
        part_path.replace(path)


def _key(frontend: FrontEnd, audio: Tensor) -> str:
    digest = hashlib.sha256(f"{frontend.name} {frontend.digest} {frontend.precision} {audio.shape[1]}\n".encode())
    digest.update(audio.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _frames_held(path: Path, dim: int) -> int:
    """How many frames ``path`` holds; 0 where it is not there, or is not frames and their checksum."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size - 32
            if size <= 0 or size % (4 * dim):
                return 0
            checksum = hashlib.sha256()
            for start in range(0, size, 1 << 20):
                checksum.update(file.read(min(1 << 20, size - start)))
            return size // (4 * dim) if file.read() == checksum.digest() else 0
    except FileNotFoundError:
        return 0
