"""The arrays of one rendition in a latent store (zarr): frames, checksums and lengths by clip.

``frames`` [clip, frame, dim] is in half precision, one chunk a clip; ``checksum`` [clip] is of each clip's frames;
``length`` [clip] is the number of its frames. A clip of length 0 is not computed yet, so an interrupted extraction
resumes. Checksums and lengths lie in several chunks, because a chunk must not have two writers at a time.

zarr reads a missing chunk as zeros, without an error. So opening compares the lengths with a listing of the chunks: a
clip whose chunk is gone or cut short counts as not computed. Reading a clip from disk compares it with its checksum.
Version 0.1 wrote no checksums; for its stores, only the listing is compared.

The arrays are in zarr's format 2, which every version of zarr reads. A store in format 3, as version 0.1 wrote it with
zarr 3, needs zarr 3.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr

from training.data.records import some

#: Lengths in a chunk, at least; no more than about a thousand chunks, since opening a store reads them all.
LENGTHS = 64
#: The checksum of a clip that has none yet.
NO_CHECKSUM = -1
#: What to do with a store that cannot be mended clip by clip.
REMEDY = "restore it from a copy, or delete the store and compute it again"
_ZARR_2 = zarr.__version__.startswith("2.")
#: Noise in half precision can be compressed by 8 %, and undoing that takes longer than reading from a fast disk.
_LAYOUT: dict[str, Any] = {"compressor": None} | ({} if _ZARR_2 else {"zarr_format": 2})
#: The name of the chunk of a clip, in either format.
_CHUNK = re.compile(r"(?:c[./])?(\d+)[./]0[./]0")


class FrameArrays:
    """Frames of every clip of one rendition.

    Attributes:
        path: folder or address of the three arrays.
        length: frames of each clip, int [clip]; 0 where it is not computed, or not wholly there any more.
        lost: indices of the clips that are partly there: a chunk, a checksum or a length is gone or cut short.
    """

    def __init__(self, path: Path | str, names: Sequence[str], dim: int, *, mode: str, checksums: bool = True) -> None:
        """Open the arrays at ``path`` for clips called ``names``, in ``mode`` "r" or "r+".

        Raises:
            OSError: the place cannot be reached or read.
            ValueError: an array or a length is damaged, or is not for these clips.
        """
        self.path, self._names = path, names
        self._files, self._root = file_system(path)
        self._frames = self._open("frames", mode)
        self._length = self._open("length", mode)
        self._checksum = self._open("checksum", mode) if checksums else None
        if (self._frames.shape[0], self._frames.shape[2]) != (len(names), dim):
            raise ValueError(f"{path}/frames has shape {self._frames.shape}, not that of store.json; {REMEDY}")
        self.length = self._values("length", self._length)
        self._checksums = None if self._checksum is None else self._values("checksum", self._checksum)
        if len(odd := np.flatnonzero((self.length < 0) | (self.length > self.longest))):
            raise ValueError(
                f"{path}/length is damaged, it says {self.length[odd[0]]} frames of at most {self.longest} "
                f"for {some(names[index] for index in odd.tolist())}; {REMEDY}"
            )
        self.lost = self._find_lost()
        self.length[self.lost] = 0
        self._memory: np.ndarray | None = None

    @staticmethod
    def create(path: Path | str, clips: int, frames: int, dim: int) -> None:
        """New arrays at ``path`` for ``clips`` clips of at most ``frames`` frames, all empty."""
        _make(f"{path}/frames", shape=(clips, frames, dim), chunks=(1, frames, dim), dtype="float16", fill_value=0)
        numbers = {"shape": (clips,), "chunks": (max(LENGTHS, clips // 1000),)}
        _make(f"{path}/checksum", **numbers, dtype="int64", fill_value=NO_CHECKSUM)
        _make(f"{path}/length", **numbers, dtype="int32", fill_value=0)

    @property
    def longest(self) -> int:
        """The most frames that a clip may have."""
        return int(self._frames.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all frames."""
        return int(self._frames.nbytes)

    def write(self, index: int, frames: np.ndarray) -> None:
        """Store ``frames`` [frame, dim] as clip ``index``; its length is written last and makes it valid.

        Raises:
            ValueError: no frames, more or others than the arrays are for, or a value that half precision cannot hold.
        """
        name, (_, longest, dim) = self._names[index], self._frames.shape
        if frames.ndim != 2 or frames.shape[1] != dim or not 0 < len(frames) <= longest:
            raise ValueError(
                f"latents of {name} have shape {frames.shape}; {self.path} takes 1 to {longest} frames of {dim} "
                "dimensions"
            )
        half = np.zeros((longest, dim), np.float16)  # a whole chunk: of a part, zarr would first read the rest
        with np.errstate(over="ignore"):
            half[: len(frames)] = frames
        if not np.isfinite(half).all():
            raise ValueError(
                f"latents of {name} do not fit half precision (largest {np.abs(frames).max():.3g}); "
                "leave that clip out, or take another front end"
            )
        self._frames[index] = half
        if self._checksum is not None and self._checksums is not None:
            self._checksums[index] = checksum(half[: len(frames)])
            self._checksum[index] = self._checksums[index]
        self._length[index] = len(frames)
        self.length[index] = len(frames)

    def missing(self, rank: int = 0, world_size: int = 1) -> list[int]:
        """Indices of the clips not computed yet that process ``rank`` of ``world_size`` is to compute.

        No two processes get clips whose lengths share a chunk: one writer would undo what another has written.
        """
        missing = np.flatnonzero(self.length == 0)
        return missing[missing // self._length.chunks[0] % world_size == rank].tolist()

    def require(self, indices: Iterable[int] | None = None) -> None:
        """Raise ValueError, with their number and the first names, where clips of ``indices`` (all) are not held."""
        indices = np.arange(len(self._names)) if indices is None else np.asarray(list(indices))
        if len(missing := indices[self.length[indices] == 0]):
            raise ValueError(
                f"{self.path} lacks the frames of {len(missing)} of {len(self._names)} clips "
                f"({some(self._names[index] for index in missing)}); extract the latents again, which computes these"
            )

    def read(self, index: int, in_memory: int) -> np.ndarray:
        """The frames of clip ``index``, float16 [frame, dim].

        Args:
            in_memory: complete arrays of up to so many bytes are read into memory, once.

        Raises:
            ValueError: the clip cannot be read, or is not what was written.
        """
        if self._memory is None and self.nbytes <= in_memory and self.length.all():
            memory = self._chunk(slice(None))
            for each, length in enumerate(self.length):
                self._verify(each, memory[each, :length])
            self._memory = memory
        if self._memory is not None:
            return self._memory[index, : self.length[index]]
        return self._verify(index, self._chunk(index)[: self.length[index]])

    def _chunk(self, key: int | slice) -> np.ndarray:
        try:
            return np.asarray(self._frames[key])
        except OSError:
            raise
        except Exception as error:  # zarr's codecs and fsspec's services each have errors of their own
            what = f"clip {self._names[key]}" if isinstance(key, int) else "a clip"
            raise ValueError(f"{what} of the latent store {self.path} cannot be read ({error}); {REMEDY}") from error

    def _verify(self, index: int, frames: np.ndarray) -> np.ndarray:
        """``frames``, if they are those that were written as clip ``index``."""
        if self._checksums is not None:
            whole = checksum(frames) == self._checksums[index]
        else:  # zeros are what zarr gives for a chunk that has gone since the store was opened
            whole = bool(frames[0].any() or frames.any()) or index in chunk_sizes(self._files, self._root, self.path)
        if not whole:
            raise ValueError(
                f"clip {self._names[index]} of the latent store {self.path} is not what was written there: its chunk, "
                f"number {index} in {self.path}/frames, is damaged, gone or of another store; delete that chunk and "
                "extract the latents again"
            )
        return frames

    def _find_lost(self) -> list[int]:
        """Indices of the clips of which some of chunk, checksum and length are there, but not all."""
        clips = len(self._names)
        sizes = chunk_sizes(self._files, self._root, self.path)
        full = None if _compressed(self._frames) else self._frames.nbytes // max(clips, 1)
        present = np.zeros((3, clips), bool)
        present[0, [index for index, size in sizes.items() if index < clips and full in (None, size)]] = True
        present[1] = present[0] if self._checksums is None else self._checksums != NO_CHECKSUM
        present[2] = self.length > 0
        return np.flatnonzero(present.any(0) & ~present.all(0)).tolist()

    def _open(self, name: str, mode: str) -> Any:
        """The zarr array ``name``."""
        try:
            with _write_empty_chunks():
                return zarr.open_array(store=f"{self.path}/{name}", mode=mode)
        except Exception as error:  # a broken description can raise anything
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            if _ZARR_2 and self._files.exists(f"{self._root}/{name}/zarr.json"):
                raise ValueError(
                    f"the latent store {self.path} is in zarr's format 3, which zarr {zarr.__version__} cannot read; "
                    "use zarr 3, on Python 3.11 or later, or make the store again"
                ) from error
            raise ValueError(f"the array {self.path}/{name} cannot be opened ({error}); {REMEDY}") from error

    def _values(self, name: str, array: Any) -> np.ndarray:
        """All of ``array``, a number a clip."""
        try:
            values = np.asarray(array[:])
        except OSError:
            raise
        except Exception as error:  # as above
            raise ValueError(f"a chunk of {self.path}/{name} is damaged ({error}); {REMEDY}") from error
        if values.shape != (len(self._names),):
            raise ValueError(f"{self.path}/{name} is for {len(values)} clips, store.json for another number; {REMEDY}")
        return values


def checksum(frames: np.ndarray) -> int:
    """CRC-32 of each frame's sum of 32-bit words, for ``frames`` float16 [frame, dim] with an even ``dim``.

    It costs a fiftieth of reading a clip, where a CRC-32 of all bytes costs a fifth. Any changed bit changes it, and so
    does another number or order of frames.
    """
    return zlib.crc32(np.ascontiguousarray(frames).view(np.uint32).sum(axis=1, dtype=np.uint32).tobytes())


@contextmanager
def reaching(path: Path | str) -> Iterator[None]:
    """Turn whatever a service raises where it cannot be reached into an OSError that names ``path``."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(
            f"{path} cannot be reached ({error}); check the address and the network, and try again"
        ) from error


def chunk_sizes(files: Any, root: str, path: Path | str) -> dict[int, int]:
    """Bytes of every chunk of frames that is there, by index of its clip, from one listing."""
    files.invalidate_cache()  # a remote file system may remember an older listing
    prefix = f"{root}/frames/"
    with reaching(path):
        found = files.find(prefix.rstrip("/"), detail=True)
    named = ((_CHUNK.fullmatch(name.removeprefix(prefix)), about) for name, about in found.items())
    return {int(match[1]): about["size"] for match, about in named if match}


def file_system(path: Path | str) -> tuple[Any, str]:
    """The fsspec file system that ``path`` is on, and its name there."""
    try:
        return fsspec.core.url_to_fs(str(path))
    except ImportError as error:
        raise ValueError(f"{path} cannot be opened ({error}); install the extra `remote`") from error


def _make(path: str, **options: Any) -> None:
    """A new, empty zarr array at ``path``."""
    zarr.open_array(store=path, mode="w", **options, **_LAYOUT)


def _write_empty_chunks() -> AbstractContextManager[Any]:
    """Arrays opened inside write chunks of zeros, too: left out, they could not be told from lost ones."""
    return nullcontext() if _ZARR_2 else zarr.config.set({"array.write_empty_chunks": True})


def _compressed(array: Any) -> bool:
    return bool(array.compressor if _ZARR_2 else array.compressors)
