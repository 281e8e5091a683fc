"""The latent store: front-end frames of every clip and rendition, computed once and read many times.

A store is a folder, or an address that fsspec knows (``s3://bucket/latents``). ``store.json`` describes it; the arrays
of the original clips lie beside it, those of other renditions in ``renditions/<name>/``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from fsspec.implementations.local import LocalFileSystem
from torch import Tensor

from sonyc_tasks.files import held_folder, write_atomic
from training.data.arrays import REMEDY, FrameArrays, chunk_sizes, file_system, reaching
from training.data.buffers import Buffers
from training.data.on_device import CLIPS, DeviceFrames, fits
from training.data.records import ORIGINAL, Description, Segment

#: Renditions of up to so many bytes are read into memory once; larger ones are read clip by clip.
IN_MEMORY = 4 << 30


class LatentStore:
    """Frames by clip and rendition.

    Attributes:
        about: the `Description`; its ``clips`` are what each index is.
        digest: a sha256 of everything the frames depend on. It does not change with the place of store or data.
        renditions: the arrays, by name.
    """

    def __init__(self, path: Path | str, mode: str = "r", *, in_memory: int = IN_MEMORY) -> None:
        """Open the store at ``path``, in ``mode`` "r" or "r+".

        Args:
            in_memory: renditions of up to so many bytes are read into memory once.

        Raises:
            FileNotFoundError: there is no store.
            OSError: the place cannot be reached or read.
            ValueError: its description, an array or a length is damaged.
        """
        self.path, self._in_memory = path, in_memory
        self._held: dict[tuple[str, torch.device], DeviceFrames | None] = {}
        self._buffers, self._statistics = Buffers(), dict[bytes, tuple[Tensor, Tensor]]()
        files, root = file_system(path)
        try:
            raw, self.about = _description(files, root, path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} is not a latent store; make one with `python -m training latents`"
            ) from error
        hashed = {key: value for key, value in raw.items() if key not in ("data", "renditions", "checksum")}
        self.digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()
        self.clips = self.about.clips
        names, dim = [clip.name for clip in self.clips], self.about.frontend["dim"]
        checked = "checksum" in raw or "labels" in raw  # not in stores of version 0.1
        self.renditions = {
            name: FrameArrays(_place(path, name), names, dim, mode=mode, checksums=checked)
            for name in self.about.renditions
        }

    @classmethod
    def create(cls, path: Path | str, about: Description, frames: int | Callable[[str], int]) -> LatentStore:
        """The store at ``path`` with all renditions of ``about``, opened for writing.

        What is there already for the same clips, partition, labels and front end stays; renditions it lacks are added.

        Args:
            frames: the most frames of a clip, or a function that finds it for a new rendition.

        Raises:
            ValueError: what is at ``path`` is for something else, or frames without the store's description.
        """
        files, root = file_system(path)
        try:  # not `exists`, which fsspec answers with no where a service cannot be reached
            raw, found = _description(files, root, path)
        except FileNotFoundError:
            raw, found = about.as_dict(), None
        known: tuple[str, ...] = ()
        if found is not None:
            # Version 0.2 wrote only those labels that some clip had, in no order that means anything.
            differs = [what for what in found.differences(about) if what != "labels" or "split" not in raw]
            if differs:
                raise ValueError(
                    f"the latent store {path} has another {', '.join(differs)}; delete it or choose another path"
                )
            known = found.renditions
        elif chunk_sizes(files, root, path):
            raise ValueError(f"{path} holds frames but no store.json; restore that file, or delete the folder")
        new = [name for name in about.renditions if name not in known]
        for name in new:
            longest = frames if isinstance(frames, int) else frames(name)
            FrameArrays.create(_place(path, name), len(about.clips), longest, about.frontend["dim"])
        if new:
            # The description comes last: without it nothing above counts, so that a kill leaves nothing to trip over.
            # All else in it stays, for a store of an earlier version too: the digest, and what its arrays lack.
            whole = {**raw, "renditions": [*known, *new]}
            content = json.dumps(whole).encode()
            if isinstance(files, LocalFileSystem):
                write_atomic(Path(root, "store.json"), content)
            else:  # an object is there whole or not at all
                files.pipe_file(f"{root}/store.json", content)
        return cls(path, mode="r+")

    def require(self, indices: Iterable[int] | None = None, renditions: Sequence[str] = (ORIGINAL,)) -> None:
        """Raise ValueError where the store lacks a rendition, or clips of ``indices`` (all) in one of them."""
        for name in renditions:
            if name not in self.renditions:
                raise ValueError(
                    f"the latent store {self.path} has no rendition {name}, only {', '.join(self.renditions)}; "
                    "extract the latents for this recipe"
                )
            self.renditions[name].require(indices)

    def lengths(self, clips: Sequence[int], rendition: str = ORIGINAL) -> np.ndarray:
        """Frames of each of ``clips`` in ``rendition``, int [clip]; 0 where it is not computed."""
        return self.renditions[rendition].length[list(clips)]

    def read(self, segments: Sequence[Segment], device: torch.device | str = "cpu") -> Tensor:
        """``segments``, all of the same number of frames, as float32 [segment, frame, dim] on ``device``.

        A GPU keeps all frames of a rendition, in half precision, where they fit; else it gets them in half precision.

        Raises:
            ValueError: a clip is not held, or is not what was written.
        """
        frames, device = segments[0].frames if segments else 0, torch.device(device)
        shape = (len(segments), frames, self.about.frontend["dim"])
        out = self._buffers.empty(shape) if device.type == "cpu" else torch.empty(shape, device=device)
        for rendition in dict.fromkeys(segment.rendition for segment in segments):
            rows = [row for row, segment in enumerate(segments) if segment.rendition == rendition]
            clips, starts = [segments[row].clip for row in rows], [segments[row].start for row in rows]
            if held := self._on_device(rendition, device):
                out[rows] = held.read(clips, starts, frames)
                continue
            halves = self._frames(rendition, clips, starts, [frames] * len(rows))
            for row, half in zip(rows, halves, strict=True):  # torch widens half precision much faster than NumPy
                out[row] = torch.from_numpy(half).to(device)
        return out

    def _on_device(self, rendition: str, device: torch.device) -> DeviceFrames | None:
        """The frames of ``rendition`` on ``device``, if that is a GPU that can hold those of all renditions."""
        if device.type != "cuda":
            return None
        if (rendition, device) not in self._held:
            rest = [arrays for name, arrays in self.renditions.items() if (name, device) not in self._held]
            fit = fits(sum(arrays.nbytes for arrays in rest), device)
            self._held[rendition, device] = DeviceFrames(self.renditions[rendition], device) if fit else None
        return self._held[rendition, device]

    def statistics(self, clips: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each dimension over all frames of the original ``clips``: two float32 [dim].

        Raises:
            ValueError: a clip is not held, or is not what was written.
        """
        wanted = np.asarray(clips, np.int64).tobytes()
        if wanted not in self._statistics:
            self._statistics[wanted] = self._mean_and_deviation(clips)
        mean, deviation = self._statistics[wanted]
        return mean.clone(), deviation.clone()

    def _mean_and_deviation(self, clips: Sequence[int]) -> tuple[Tensor, Tensor]:
        total = np.zeros(self.about.frontend["dim"])
        squares = np.zeros_like(total)
        for first in range(0, len(clips), CLIPS):
            some = clips[first : first + CLIPS]
            for half in self._frames(ORIGINAL, some, [0] * len(some), self.lengths(some).tolist()):
                frames = half.astype(np.float64)
                total += frames.sum(0)
                squares += np.square(frames).sum(0)
        count = self.lengths(clips).sum()
        mean = total / count
        return torch.from_numpy(mean).float(), torch.from_numpy(deviations(mean, squares / count)).float()

    @cached_property
    def labels(self) -> dict[str, Tensor]:
        """By kind, 0 or 1 for each class, float32 [clip, class]; besides, ``group``: its place among those that train,
        int64 [clip], -1 for any other."""
        tensors = {
            kind: torch.tensor([[float(name in clip.labels.get(kind, ())) for name in classes] for clip in self.clips])
            for kind, classes in self.about.labels.items()
        }
        place = {group: k for k, group in enumerate(self.about.partition.train)}
        return {**tensors, "group": torch.tensor([place.get(clip.group, -1) for clip in self.clips])}

    def _frames(
        self, rendition: str, clips: Sequence[int], starts: Sequence[int], frames: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """Stretches of ``clips`` in a ``rendition``, as `FrameArrays.read` has them."""
        arrays = self.renditions[rendition]
        arrays.require(clips)
        arrays.load(self._in_memory)
        return arrays.read(clips, starts, frames)


def deviations(mean: np.ndarray, mean_square: np.ndarray) -> np.ndarray:
    """Standard deviation of each dimension from the means of its values and of their squares, all float64 [dim].

    A dimension that never moves carries nothing; scaled by one instead of zero it stays nothing.
    """
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
    deviation[deviation < 1e-6 * max(deviation.max(), 1e-30)] = 1.0
    return deviation


@contextmanager
def held_store(path: Path | str) -> Iterator[None]:
    """Hold the store at ``path`` while it is created or filled; on object storage, which has no locks, nothing.

    Files that zarr was writing when an earlier process was killed are removed.
    """
    files, root = file_system(path)
    if not isinstance(files, LocalFileSystem):
        yield
        return
    with held_folder(Path(root)):
        for arrays in ("frames", "checksum", "length", "renditions"):  # elsewhere, others may lie
            for part in Path(root, arrays).rglob("*.partial"):
                part.unlink()
        yield


def _place(path: Path | str, rendition: str) -> str:
    """Where the arrays of ``rendition`` lie in the store at ``path``."""
    return str(path) if rendition == ORIGINAL else f"{path}/renditions/{quote(rendition, safe='()+')}"


def _description(files: Any, root: str, path: Path | str) -> tuple[dict[str, Any], Description]:
    """What ``store.json`` says, as JSON values and as a record."""
    with reaching(path):
        content = files.cat_file(f"{root}/store.json")
    try:
        raw = json.loads(content)
        about = Description.from_dict(raw)
        for key in ("name", "sha256", "dim", "hop", "sample_rate"):
            _ = about.frontend[key]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}/store.json is damaged ({error!r:.120}); {REMEDY}") from error
    return raw, about
