"""The latent store: front-end frames of every clip, computed once, read many times (zarr).

A store is a folder, or an address that fsspec knows (``s3://bucket/latents``), with ``store.json`` (front end, data
set, sensor split, clips) and two zarr arrays: ``frames`` [clip, frame, dim] in half precision, one chunk a clip, and
``length`` [clip], the number of frames of each clip. A clip of length 0 is not computed yet, so an interrupted
extraction goes on where it stopped. The lengths lie in several chunks: a chunk must not have two writers at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch
import zarr
from torch import Tensor

from sonyc_tasks.splits import SensorSplit

#: Stores up to this size are read into memory once; larger ones are read clip by clip.
IN_MEMORY = 4 << 30
#: Lengths in a chunk, at least; no more than about a thousand chunks, since opening a store reads them all.
LENGTHS = 64
#: Noise in half precision can be compressed by 8 %, and undoing that takes longer than reading from a fast disk.
_UNCOMPRESSED: dict[str, Any] = (
    {"compressor": None}
    if zarr.__version__.startswith("2.")
    else {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
)


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
    """

    def __init__(self, path: Path | str, mode: str = "r") -> None:
        files, root = _file_system(path)
        try:
            about = json.loads(files.cat_file(f"{root}/store.json"))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} is not a latent store: make it with `python -m training latents`"
            ) from error
        self.path = path
        #: Changes with the clips, the split or the front end; not with where the store or the data set lies.
        self.digest = hashlib.sha256(
            json.dumps([about["clips"], about["frontend"], about["split"]], sort_keys=True).encode()
        ).hexdigest()
        self.clips = [StoredClip(**clip) for clip in about["clips"]]
        self.frontend: dict[str, Any] = about["frontend"]
        self.split = SensorSplit(**about["split"])
        self.data: str = about["data"]
        self._frames = zarr.open_array(store=f"{path}/frames", mode=mode)
        self._length = zarr.open_array(store=f"{path}/length", mode=mode)
        self.length = np.asarray(self._length[:])
        self._memory: np.ndarray | None = None

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
            ValueError: what is at ``path`` is for something else.
        """
        about = {"data": data, "frontend": frontend, "split": asdict(split), "clips": [vars(clip) for clip in clips]}
        about = json.loads(json.dumps(about))  # as it will be read back: tuples become lists
        files, root = _file_system(path)
        described = f"{root}/store.json"
        if files.exists(described):
            found = json.loads(files.cat_file(described))
            # Not its description in words: the same clips may lie in a folder of another name today.
            if differs := ", ".join(key for key in ("clips", "frontend", "split") if found.get(key) != about[key]):
                raise ValueError(f"the latent store {path} has another {differs}: delete it or choose another path")
            return cls(path, mode="r+")
        dim = frontend["dim"]
        zarr.open_array(
            store=f"{path}/frames",
            mode="w",
            shape=(len(clips), frames, dim),
            chunks=(1, frames, dim),
            dtype="float16",
            **_UNCOMPRESSED,
        )
        zarr.open_array(
            store=f"{path}/length",
            mode="w",
            shape=(len(clips),),
            chunks=(max(LENGTHS, len(clips) // 1000),),
            dtype="int32",
            fill_value=0,
        )
        # The description comes last: a folder without it is not a store, so a kill above leaves nothing to trip over.
        files.pipe_file(f"{described}.part", json.dumps(about).encode())
        files.mv(f"{described}.part", described)
        return cls(path, mode="r+")

    def write(self, index: int, frames: np.ndarray) -> None:
        """Store ``frames`` [frame, dim] as clip ``index``; its length is written last and makes it valid.

        Raises:
            ValueError: a value that half precision cannot hold.
        """
        with np.errstate(over="ignore"):
            half = frames.astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(
                f"latents of {self.clips[index].name} do not fit half precision (largest {np.abs(frames).max():.3g})"
            )
        self._frames[index, : len(frames)] = half
        self._length[index] = len(frames)
        self.length[index] = len(frames)

    def missing(self, part: int = 0, parts: int = 1) -> list[int]:
        """Indices of the clips that are not computed yet; of these, part ``part`` of ``parts``: no two parts have clips
        whose lengths lie in one chunk, of which one writer would undo what another has written."""
        missing = np.flatnonzero(self.length == 0)
        return missing[missing // self._length.chunks[0] % parts == part].tolist()

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
        """
        lengths = self.length[list(indices)]
        frames = int(min(lengths.min(), crop or lengths.max()))
        starts = [
            int(torch.randint(spare + 1, (), generator=generator)) if generator is not None and spare else 0
            for spare in (lengths - frames).tolist()
        ]
        kept = range(len(indices)) if kept is None else kept
        out = np.empty((len(kept), frames, self.frontend["dim"]), np.float32)
        source = self._source()
        for row, place in enumerate(kept):
            out[row] = source[int(indices[place]), starts[place] : starts[place] + frames]
        return torch.from_numpy(out)

    def statistics(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each dimension over all frames of the clips ``indices``: two float32 [dim]."""
        source = self._source()
        total = np.zeros(self.frontend["dim"])
        squares = np.zeros_like(total)
        for index in indices:
            frames = np.asarray(source[int(index), : self.length[index]], np.float64)
            total += frames.sum(0)
            squares += np.square(frames).sum(0)
        count = self.length[list(indices)].sum()
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        # A dimension that never moves carries nothing; scaled by one instead of zero it stays nothing.
        deviation[deviation < 1e-6 * max(deviation.max(), 1e-30)] = 1.0
        return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()

    def _source(self) -> Any:
        if self._memory is None and self._frames.nbytes <= IN_MEMORY:
            self._memory = np.asarray(self._frames[:])
        return self._frames if self._memory is None else self._memory


def _file_system(path: Path | str) -> tuple[Any, str]:
    """The fsspec file system that ``path`` is on, and its name there."""
    try:
        return fsspec.core.url_to_fs(str(path))
    except ImportError as error:
        raise ValueError(f"{path} cannot be opened ({error}): install the extra `remote`") from error
