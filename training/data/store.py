"""The latent store: front-end frames of every clip, computed once, read many times (zarr).

A store is a folder, or an address that fsspec knows (``s3://bucket/latents``), with ``store.json`` (front end, data
set, sensor split, clips) and three zarr arrays: ``frames`` [clip, frame, dim] in half precision, one chunk a clip;
``checksum`` [clip] of each clip's frames; and ``length`` [clip], the number of its frames. A clip of length 0 is not
computed yet, so an interrupted extraction goes on where it stopped. Checksums and lengths lie in several chunks: a
chunk must not have two writers at a time.

zarr reads a chunk that is not there as zeros, without an error. So opening a store compares its lengths with a listing
of its chunks: a clip whose chunk is gone or cut short counts as not computed. Reading a clip from the disk compares it
with its checksum. Stores of version 0.1 have no checksums: of these, only the listing is compared.

The arrays are of zarr's format 2, which every version of zarr reads. A store in format 3, as version 0.1 wrote it with
zarr 3, needs zarr 3.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch
import zarr
from torch import Tensor

from sonyc_tasks.dataset.splits import SensorSplit

#: Stores up to this size are read into memory once; larger ones are read clip by clip.
IN_MEMORY = 4 << 30
#: Lengths in a chunk, at least; no more than about a thousand chunks, since opening a store reads them all.
LENGTHS = 64
#: The checksum of a clip that has none yet.
NO_CHECKSUM = -1
_ZARR_2 = zarr.__version__.startswith("2.")
#: Noise in half precision can be compressed by 8 %, and undoing that takes longer than reading from a fast disk.
_LAYOUT: dict[str, Any] = {"compressor": None} | ({} if _ZARR_2 else {"zarr_format": 2})
#: The name of the chunk of a clip, in either format.
_CHUNK = re.compile(r"(?:c[./])?(\d+)[./]0[./]0")


@dataclass(frozen=True)
class StoredClip:
    """Name of a clip in its data set, the sensor that recorded it, the coarse classes heard in it."""

    name: str
    sensor: int
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))  # JSON has lists only


class LatentStore:
    """Frames by clip index.

    Attributes:
        clips: what each index is.
        frontend: {name, sha256, dim, hop, sample_rate} of the front end that computed the frames.
        split: which sensors train, which validate, and which are kept for the probes.
        data: what the clips are, in words.
        digest: a sha256 of all but ``data``.
        length: frames of each clip; 0 where it is not computed, or not wholly there any more.
        lost: indices of the clips of which the store has a part only: their chunk is gone or cut short, or it was
            written and its length is gone.
    """

    def __init__(self, path: Path | str, mode: str = "r") -> None:
        """Open the store at ``path``, in ``mode`` "r" or "r+".

        Raises:
            FileNotFoundError: no store is there.
            OSError: what it lies on cannot be reached or read.
            ValueError: its description, an array or a length is damaged.
        """
        self.path = path
        self._files, self._root = _file_system(path)
        try:
            about = _description(self._files, self._root, path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} is not a latent store: make it with `python -m training latents`"
            ) from error
        try:
            #: Changes with the clips, the split or the front end; not with where the store or the data set lies.
            self.digest = hashlib.sha256(
                json.dumps([about["clips"], about["frontend"], about["split"]], sort_keys=True).encode()
            ).hexdigest()
            self.clips = [StoredClip(**clip) for clip in about["clips"]]
            self.frontend: dict[str, Any] = about["frontend"]
            self.split = SensorSplit(**about["split"])
            self.data: str = about["data"]
            shape = len(self.clips), self.frontend["dim"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}/store.json is damaged ({error!r}): {_AGAIN}") from error
        self._frames = self._array("frames", mode)
        self._length = self._array("length", mode)
        self._checksum = self._array("checksum", mode) if about.get("checksum") else None
        if (self._frames.shape[0], self._frames.shape[2]) != shape:
            raise ValueError(f"{path}/frames has shape {self._frames.shape}, not that of store.json: {_AGAIN}")
        self.length = self._values("length", self._length)
        self.checksum = None if self._checksum is None else self._values("checksum", self._checksum)
        if len(odd := np.flatnonzero((self.length < 0) | (self.length > self._frames.shape[1]))):
            raise ValueError(
                f"{path}/length is damaged, it says {self.length[odd[0]]} frames of at most {self._frames.shape[1]} "
                f"for {some(self.clips[index].name for index in odd)}: {_AGAIN}"
            )
        self.lost = self._find_lost()
        self.length[self.lost] = 0
        self._memory: np.ndarray | None = None

    @property
    def room(self) -> int:
        """The most frames that a clip may have."""
        return int(self._frames.shape[1])

    @classmethod
    def create(
        cls,
        path: Path | str,
        clips: Sequence[StoredClip],
        frontend: dict[str, Any],
        frames: int,
        split: SensorSplit,
        data: str,
    ) -> LatentStore:
        """A new store at ``path`` for ``clips`` of at most ``frames`` frames; or the one that is there already, to go
        on with, if it is for the same clips, split and front end.

        Raises:
            ValueError: what is at ``path`` is for something else, or frames without the store's description.
        """
        about = {"data": data, "frontend": frontend, "split": asdict(split), "clips": [vars(clip) for clip in clips]}
        about = json.loads(json.dumps(about))  # as it will be read back: tuples become lists
        files, root = _file_system(path)
        try:  # not `exists`, which fsspec answers with no where a service cannot be reached
            found = _description(files, root, path)
        except FileNotFoundError:
            found = None
        if found is not None:
            # Not its description in words: the same clips may lie in a folder of another name today.
            if differs := ", ".join(key for key in ("clips", "frontend", "split") if found.get(key) != about[key]):
                raise ValueError(f"the latent store {path} has another {differs}: delete it or choose another path")
            return cls(path, mode="r+")
        if _chunks(files, root, path):
            raise ValueError(f"{path} holds frames but its store.json is lost: restore that file, or delete the folder")
        shape = (len(clips), frames, frontend["dim"])
        _make(f"{path}/frames", shape=shape, chunks=(1, *shape[1:]), dtype="float16", fill_value=0)
        numbers = {"shape": shape[:1], "chunks": (max(LENGTHS, len(clips) // 1000),)}
        _make(f"{path}/checksum", **numbers, dtype="int64", fill_value=NO_CHECKSUM)
        _make(f"{path}/length", **numbers, dtype="int32", fill_value=0)
        # The description comes last: a folder without it is not a store, so a kill above leaves nothing to trip over.
        described = f"{root}/store.json"
        files.pipe_file(f"{described}.part", json.dumps({**about, "checksum": True}).encode())
        files.mv(f"{described}.part", described)
        return cls(path, mode="r+")

    def write(self, index: int, frames: np.ndarray) -> None:
        """Store ``frames`` [frame, dim] as clip ``index``; its length is written last and makes it valid.

        Raises:
            ValueError: no frames, more or others than the store is for, or a value that half precision cannot hold.
        """
        name, (_, longest, dim) = self.clips[index].name, self._frames.shape
        if frames.ndim != 2 or frames.shape[1] != dim or not 0 < len(frames) <= longest:
            raise ValueError(
                f"latents of {name} have shape {frames.shape}: the latent store {self.path} takes 1 to {longest} "
                f"frames of {dim} dimensions"
            )
        half = np.zeros((longest, dim), np.float16)  # a whole chunk: of a part, zarr would first read the rest
        with np.errstate(over="ignore"):
            half[: len(frames)] = frames
        if not np.isfinite(half).all():
            raise ValueError(f"latents of {name} do not fit half precision (largest {np.abs(frames).max():.3g})")
        self._frames[index] = half
        if self._checksum is not None and self.checksum is not None:
            self.checksum[index] = checksum(half[: len(frames)])
            self._checksum[index] = self.checksum[index]
        self._length[index] = len(frames)
        self.length[index] = len(frames)

    def missing(self, part: int = 0, parts: int = 1) -> list[int]:
        """Indices of the clips that are not computed yet; of these, part ``part`` of ``parts``: no two parts have clips
        whose lengths lie in one chunk, of which one writer would undo what another has written."""
        missing = np.flatnonzero(self.length == 0)
        return missing[missing // self._length.chunks[0] % parts == part].tolist()

    def require(self, indices: Iterable[int] | None = None) -> None:
        """Raise ValueError, with their number and the first names, where clips of ``indices`` (all) are not held."""
        indices = np.arange(len(self.clips)) if indices is None else np.asarray(list(indices))
        if len(missing := indices[self.length[indices] == 0]):
            raise ValueError(
                f"the latent store {self.path} lacks {len(missing)} of {len(self.clips)} clips "
                f"({some(self.clips[index].name for index in missing)}): run `python -m training latents` again"
            )

    def read(
        self,
        indices: Sequence[int],
        crop: int | None = None,
        generator: torch.Generator | None = None,
        kept: Sequence[int] | None = None,
    ) -> Tensor:
        """Clips ``indices`` as float32 [clip, frame, dim], cut to one length: the shortest clip's, or ``crop`` frames.

        Args:
            crop: at most so many frames of each clip.
            generator: where in a longer clip to cut, at random; None cuts at its beginning.
            kept: places in ``indices`` of the clips to read and return, as they would be among all; None is all.

        Raises:
            ValueError: a clip is not held, or is not what was written.
        """
        self.require(indices)
        lengths = self.length[list(indices)]
        frames = int(min(lengths.min(), crop or lengths.max()))
        starts = [
            int(torch.randint(spare + 1, (), generator=generator)) if generator is not None and spare else 0
            for spare in (lengths - frames).tolist()
        ]
        kept = range(len(indices)) if kept is None else kept
        out = torch.empty((len(kept), frames, self.frontend["dim"]))
        for row, place in enumerate(kept):  # torch widens half precision several times faster than NumPy
            out[row] = torch.from_numpy(self._clip(int(indices[place]))[starts[place] : starts[place] + frames])
        return out

    def statistics(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each dimension over all frames of the clips ``indices``: two float32 [dim].

        Raises:
            ValueError: a clip is not held, or is not what was written.
        """
        self.require(indices)
        total = np.zeros(self.frontend["dim"])
        squares = np.zeros_like(total)
        for index in indices:
            frames = self._clip(int(index)).astype(np.float64)
            total += frames.sum(0)
            squares += np.square(frames).sum(0)
        count = self.length[list(indices)].sum()
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        # A dimension that never moves carries nothing; scaled by one instead of zero it stays nothing.
        deviation[deviation < 1e-6 * max(deviation.max(), 1e-30)] = 1.0
        return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()

    def _clip(self, index: int) -> np.ndarray:
        """The frames of clip ``index``, float16 [frame, dim], from memory where the store is whole and fits there."""
        if self._memory is None and self._frames.nbytes <= IN_MEMORY and self.length.all():
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
            what = f"clip {self.clips[key].name}" if isinstance(key, int) else "a clip"
            raise ValueError(f"{what} of the latent store {self.path} cannot be read ({error}): {_AGAIN}") from error

    def _verify(self, index: int, frames: np.ndarray) -> np.ndarray:
        """``frames``, if they are those that were written as clip ``index``."""
        if self.checksum is not None:
            whole = checksum(frames) == self.checksum[index]
        else:  # zeros are what zarr gives for a chunk that has gone since the store was opened
            whole = bool(frames[0].any() or frames.any()) or index in _chunks(self._files, self._root, self.path)
        if not whole:
            raise ValueError(
                f"clip {self.clips[index].name} of the latent store {self.path} is not what was written there: its "
                f"chunk, number {index} in {self.path}/frames, is damaged, gone or of another store; delete it and run "
                "`python -m training latents` again"
            )
        return frames

    def _find_lost(self) -> list[int]:
        """Indices of the clips of which some of chunk, checksum and length are there, but not all."""
        sizes = _chunks(self._files, self._root, self.path)
        full = None if _compressed(self._frames) else self._frames.nbytes // max(len(self.clips), 1)
        present = np.zeros((3, len(self.clips)), bool)
        present[0, [index for index, size in sizes.items() if index < len(self.clips) and full in (None, size)]] = True
        present[1] = present[0] if self.checksum is None else self.checksum != NO_CHECKSUM
        present[2] = self.length > 0
        return np.flatnonzero(present.any(0) & ~present.all(0)).tolist()

    def _array(self, name: str, mode: str) -> Any:
        """The zarr array ``name``."""
        try:
            with _zeros_too():
                return zarr.open_array(store=f"{self.path}/{name}", mode=mode)
        except Exception as error:  # a broken description can raise anything
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            if _ZARR_2 and self._files.exists(f"{self._root}/{name}/zarr.json"):
                raise ValueError(
                    f"the latent store {self.path} is in zarr's format 3, which zarr {zarr.__version__} cannot read: "
                    "use zarr 3, on Python 3.11 or later, or make the store again"
                ) from error
            raise ValueError(f"the array {self.path}/{name} cannot be opened ({error}): {_AGAIN}") from error

    def _values(self, name: str, array: Any) -> np.ndarray:
        """All of ``array``, a number a clip."""
        try:
            values = np.asarray(array[:])
        except OSError:
            raise
        except Exception as error:  # as above
            raise ValueError(f"a chunk of {self.path}/{name} is damaged ({error}): {_AGAIN}") from error
        if values.shape != (len(self.clips),):
            raise ValueError(f"{self.path}/{name} is for {len(values)} clips, store.json for another number: {_AGAIN}")
        return values


def checksum(frames: np.ndarray) -> int:
    """Of ``frames`` float16 [frame, dim], ``dim`` even: the CRC-32 of each frame's sum of 32-bit words.

    It costs a fiftieth of reading a clip, a CRC-32 of all bytes a fifth. Any one changed bit changes it, and so does
    another number or order of frames.
    """
    return zlib.crc32(np.ascontiguousarray(frames).view(np.uint32).sum(axis=1, dtype=np.uint32).tobytes())


#: What to do with a store that cannot be mended clip by clip.
_AGAIN = "restore it from a copy, or delete the store and run `python -m training latents` again"


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few of ``names``."""
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")


def _description(files: Any, root: str, path: Path | str) -> dict[str, Any]:
    """What ``store.json`` says."""
    with _reaching(path):
        content = files.cat_file(f"{root}/store.json")
    try:
        about = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path}/store.json is damaged ({error}): {_AGAIN}") from error
    if not isinstance(about, dict):
        raise ValueError(f"{path}/store.json is damaged (no JSON object): {_AGAIN}")
    return about


@contextmanager
def _reaching(path: Path | str) -> Iterator[None]:
    """What a service raises of its own, where it cannot be reached, becomes an OSError that names ``path``."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(
            f"{path} cannot be reached ({error}): check the address and the network, and try again"
        ) from error


def _chunks(files: Any, root: str, path: Path | str) -> dict[int, int]:
    """Index of a clip → bytes of its chunk, of all that are there, by one listing."""
    files.invalidate_cache()  # a remote file system may remember an older listing
    prefix = f"{root}/frames/"
    with _reaching(path):
        found = files.find(prefix.rstrip("/"), detail=True)
    named = ((_CHUNK.fullmatch(name.removeprefix(prefix)), about) for name, about in found.items())
    return {int(match[1]): about["size"] for match, about in named if match}


def _make(path: str, **options: Any) -> None:
    """A new zarr array at ``path``, empty."""
    zarr.open_array(store=path, mode="w", **options, **_LAYOUT)


def _zeros_too() -> AbstractContextManager[Any]:
    """Arrays that are opened meanwhile write chunks of zeros, too: left out, they could not be told from lost ones."""
    return nullcontext() if _ZARR_2 else zarr.config.set({"array.write_empty_chunks": True})


def _compressed(array: Any) -> bool:
    return bool(array.compressor if _ZARR_2 else array.compressors)


def _file_system(path: Path | str) -> tuple[Any, str]:
    """The fsspec file system that ``path`` is on, and its name there."""
    try:
        return fsspec.core.url_to_fs(str(path))
    except ImportError as error:
        raise ValueError(f"{path} cannot be opened ({error}): install the extra `remote`") from error
