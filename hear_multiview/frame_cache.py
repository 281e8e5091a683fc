"""A cache of front-end frames on disk, so that a second view or task of the same clips does not pay for the codec.

An entry is named by what determines it: the sha256 of the front end's weights, its precision, sample rate, hop and
dimensions, and the samples of the batch. So it never has to be invalidated, any number of processes may share a folder,
and a cache changes no result. On a CPU a batch is one clip. A GPU rounds differently from batch to batch, so there only
the same batch finds its entry again. Nothing is ever deleted; remove the folder when it gets too large.

An entry holds what the front end yielded, chunk by chunk: the number of frames n (int32), their times float32 [n], and
the frames float32 [clip, n, dim], all little-endian; and at the end the sha256 of all this. An entry that does not
match its own checksum is computed again, never served. So nobody waits until an entry is on the disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from hear_multiview.audio.streamed import Audio
from hear_multiview.files import replacing, sweep
from hear_multiview.frontends.base import FrontEnd

#: The environment variable that names the folder of `FrameCache.from_environment`.
VARIABLE = "HEAR_MULTIVIEW_CACHE"
#: Part of every key; another number for another layout of entries.
FORMAT = 2
#: Samples that go into a key at a time.
_KEY_SAMPLES = 1 << 20


@dataclass(frozen=True)
class FrameCache:
    """Frames and their times, kept in the folder ``path``."""

    path: Path

    @classmethod
    def from_environment(cls) -> FrameCache | None:
        """The cache in the folder that ``HEAR_MULTIVIEW_CACHE`` names; None where it is not set."""
        name = os.environ.get(VARIABLE)
        return cls(Path(name)) if name else None

    def __post_init__(self) -> None:
        sweep(self.path)  # here, as a cache that holds everything is never written to again

    def stream(self, frontend: FrontEnd, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """Like ``frontend.stream(audio)``, reading from the cache what it holds and filling it on a miss.

        Raises:
            ValueError: the cache's folder cannot be used, or an entry cannot be read.
        """
        path = self.path / f"{_key(frontend, audio)}.frames"
        with _opened(path) as entry:
            size = _verified(entry)
            while entry.tell() < size:
                frames, times = _read_chunk(entry, len(audio), frontend.dim)
                yield frames.to(audio.device), times
            if size:
                return
        with self._writing(path) as part, part.open("wb") as file:
            checksum = hashlib.sha256()
            for frames, times in frontend.stream(audio):
                for data in (len(times).to_bytes(4, "little"), _bytes(times), _bytes(frames)):
                    checksum.update(data)
                    file.write(data)
                yield frames, times
            file.write(checksum.digest())

    @contextmanager
    def _writing(self, path: Path) -> Iterator[Path]:
        """`replacing` of ``path``, with an error that says what to do where the folder cannot be written to."""
        with ExitStack() as stack:
            try:
                part = stack.enter_context(replacing(path, durable=False))
            except OSError as error:
                raise ValueError(
                    f"{self.path} cannot be the cache of frames ({error.strerror}); set {VARIABLE} to a folder that "
                    "can be written to, or unset it"
                ) from error
            yield part


def _key(frontend: FrontEnd, audio: Audio) -> str:
    made_by = f"{frontend.name} {frontend.digest} {frontend.precision} {frontend.sample_rate} {frontend.hop}"
    digest = hashlib.sha256(f"{FORMAT} {made_by} {frontend.dim} {tuple(audio.shape)}\n".encode())
    for clip in range(len(audio)):
        for start in range(0, audio.shape[1], _KEY_SAMPLES):
            samples = audio[clip : clip + 1, start : start + _KEY_SAMPLES]
            digest.update(samples.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _opened(path: Path) -> BinaryIO:
    """The entry ``path``, or an empty stream where there is none."""
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return BytesIO()
    except OSError as error:
        raise ValueError(f"the cache entry {path} cannot be read ({error.strerror}); delete it") from error


def _verified(entry: BinaryIO) -> int:
    """The size of ``entry`` without its checksum, in bytes; 0 where the two do not match. It is then read from 0 on."""
    size = max(entry.seek(0, os.SEEK_END) - 32, 0)
    entry.seek(0)
    checksum = hashlib.sha256()
    for start in range(0, size, 1 << 20):
        checksum.update(entry.read(min(1 << 20, size - start)))
    whole = entry.read() == checksum.digest()
    entry.seek(0)
    return size if whole else 0


def _read_chunk(entry: BinaryIO, clips: int, dim: int) -> tuple[Tensor, Tensor]:
    """The next chunk of ``entry``: frames [clip, frame, dim] and their times [frame]."""
    count = int.from_bytes(entry.read(4), "little")
    times, frames = (
        torch.from_numpy(np.frombuffer(bytearray(entry.read(4 * size)), "<f4")) for size in (count, clips * count * dim)
    )
    return frames.view(clips, count, dim), times


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().numpy().astype("<f4").tobytes()
