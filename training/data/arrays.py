"""The arrays of one rendition in a latent store (zarr): frames, checksums and lengths by clip.

``frames`` [clip, frame, dim] is in half precision, one chunk a clip; ``checksum`` [clip] is of each clip's frames;
``length`` [clip] is the number of its frames. A clip of length 0 is not computed yet, so an interrupted extraction
resumes. Checksums and lengths lie in several chunks, because a chunk must not have two writers at a time.

zarr reads a missing chunk as zeros, without an error. So opening compares the lengths with a listing of the chunks: a
clip whose chunk is gone or cut short counts as not computed. The first time that a process reads a clip, it compares
the clip with its checksum. Version 0.1 wrote no checksums; for its stores, only the listing is compared.

A chunk on a local disk is a file with nothing but the clip's frames. Such files are read as they are, and of a clip
that is known to be whole, only the stretch that is asked for.

The arrays are in zarr's format 2, which every version of zarr reads. A store in format 3, as version 0.1 wrote it with
zarr 3, needs zarr 3.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr
from fsspec.implementations.local import LocalFileSystem

from training.data.records import some

#: Lengths in a chunk, at least; no more than about a thousand chunks, since opening a store reads them all.
LENGTHS = 64
#: The checksum of a clip that has none yet.
NO_CHECKSUM = -1
#: Threads that read chunks: more than cores, as they wait for the disk.
READERS = 4
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
        self._known = np.zeros(len(names), bool)  # which clips this process has found to be what was written
        self._raw = isinstance(self._files, LocalFileSystem) and _is_raw(Path(self._root) / "frames")

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
    def shape(self) -> tuple[int, int, int]:
        """How many clips, the most frames of one, and the dimensions of a frame."""
        clips, frames, dim = self._frames.shape
        return clips, frames, dim

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
        self._known[index] = False
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

    def load(self, in_memory: int) -> bool:
        """Read all frames into memory, once, if they are complete and take no more than ``in_memory`` bytes.

        Returns:
            Whether they are there.

        Raises:
            ValueError: a clip cannot be read, or is not what was written.
        """
        if self._memory is None and self.nbytes <= in_memory and self.length.all():
            memory = np.empty(self._frames.shape, np.float16)

            def keep(index: int) -> None:
                memory[index, : self.length[index]] = self._stretch(index, 0, int(self.length[index]))

            with ThreadPoolExecutor(READERS) as threads:
                for _ in threads.map(keep, range(len(memory))):
                    pass
            self._memory = memory
        return self._memory is not None

    def read(self, clips: Sequence[int], starts: Sequence[int], frames: Sequence[int]) -> Iterator[np.ndarray]:
        """A stretch of each of ``clips``, from which frame on and of how many frames: float16 [frame, dim], in order.

        They come from memory after `load`, and else from the disk, where several threads read them.

        Raises:
            ValueError: a clip cannot be read, or is not what was written.
        """
        if self._memory is not None:
            for clip, start, count in zip(clips, starts, frames, strict=True):
                yield self._memory[clip, start : start + count]
            return
        with ThreadPoolExecutor(READERS) as threads:
            yield from threads.map(self._stretch, clips, starts, frames)

    def _stretch(self, clip: int, start: int, frames: int) -> np.ndarray:
        """Frames of a clip from the disk: all of them the first time, to compare them with their checksum."""
        if not self._known[clip]:
            whole = self._verify(clip, self._stored(clip, 0, int(self.length[clip])))
            self._known[clip] = self._raw  # anything else is read whole each time
            return whole[start : start + frames]
        found = self._stored(clip, start, frames)
        if len(found) < frames:  # the chunk has gone since
            self._verify(clip, found)
        return found

    def _stored(self, clip: int, start: int, frames: int) -> np.ndarray:
        """What the disk holds of a clip, or less where its file is cut or gone."""
        if not self._raw:
            return self._chunk(clip)[start : start + frames]
        half = np.empty((frames, self._frames.shape[2]), np.float16)
        try:
            file = os.open(f"{self._root}/frames/{clip}.0.0", os.O_RDONLY)
        except (FileNotFoundError, PermissionError):
            return half[:0]
        try:
            got = os.preadv(file, [half.data.cast("B")], start * half.itemsize * half.shape[1])
        finally:
            os.close(file)
        return half[: got // (half.itemsize * half.shape[1])]

    def _chunk(self, clip: int) -> np.ndarray:
        try:
            return np.asarray(self._frames[clip])
        except OSError:
            raise
        except Exception as error:  # zarr's codecs and fsspec's services each have errors of their own
            raise ValueError(
                f"clip {self._names[clip]} of the latent store {self.path} cannot be read ({error}); {REMEDY}"
            ) from error

    def _verify(self, index: int, frames: np.ndarray) -> np.ndarray:
        """``frames``, if they are those that were written as clip ``index``."""
        if self._checksums is not None:
            whole = len(frames) == self.length[index] and checksum(frames) == self._checksums[index]
        else:  # zeros are what zarr gives for a chunk that has gone since the store was opened
            whole = bool(frames[:1].any() or frames.any()) or index in chunk_sizes(self._files, self._root, self.path)
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


def _is_raw(frames: Path) -> bool:
    """Whether the files in the folder of an array hold one clip each, as `FrameArrays.create` has them written."""
    described = frames / ".zarray"
    if not described.exists():
        return False
    try:
        about = json.loads(described.read_text(encoding="utf-8"))
        wanted = {"zarr_format": 2, "compressor": None, "filters": None, "order": "C", "dtype": "<f2"}
        plain = all(about[name] == value for name, value in wanted.items())
        return plain and about["chunks"] == [1, *about["shape"][1:]] and about.get("dimension_separator", ".") == "."
    except (ValueError, KeyError, TypeError):  # not one of ours; zarr has a word on it
        return False


def _compressed(array: Any) -> bool:
    return bool(array.compressor if _ZARR_2 else array.compressors)
