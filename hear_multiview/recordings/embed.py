"""Recordings to embeddings, one after the other: a row per recording, per window or per frame.

Files are read and resampled in threads while the model embeds. On a CPU, a row has the bits of the HEAR API's result
for the same samples: of `get_scene_embeddings` for a recording or a window, of `get_timestamp_embeddings` for a frame.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hear_multiview.api import as_loaded, load_model
from hear_multiview.embedder import Embedder
from hear_multiview.recordings.reading import Recording, find_recordings, identify, open_recording
from hear_multiview.recordings.table import Rows
from sonyc_tasks.processes import cores

#: Clips of one length that a GPU embeds at a time.
BATCH_CLIPS = 16
#: Threads that read recordings, by default.
WORKERS = min(4, cores())


@dataclass(frozen=True)
class Division:
    """What a row is.

    Attributes:
        kind: a whole file, a window of it, or a frame of the model.
        window, hop: of a window, in seconds.
    """

    kind: Literal["file", "window", "frame"] = "file"
    window: float | None = None
    hop: float | None = None

    @classmethod
    def of(cls, window: float | None, hop: float | None, frames: bool) -> Division:
        """That of the options; windows follow one another without a hop.

        Raises:
            ValueError: options that contradict each other, or a length that is not positive.
        """
        if frames and (window is not None or hop is not None):
            raise ValueError("frames have a length of their own; leave --window and --hop out, or --frames")
        if hop is not None and window is None:
            raise ValueError(f"a hop of {hop:g} s needs a window; give --window too")
        for name, value in (("window", window), ("hop", hop)):
            if value is not None and not (0 < value < math.inf):
                raise ValueError(f"a {name} of {value:g} s cannot be; give a positive number of seconds")
        if frames:
            return cls("frame")
        return cls() if window is None else cls("window", window, window if hop is None else hop)

    def require_fit(self, sample_rate: int, shortest: int) -> None:
        """Raise ValueError where a window has fewer than ``shortest`` samples, or a hop less than one."""
        for name, value, least in (("window", self.window, shortest), ("hop", self.hop, 1)):
            if value is not None and round(value * sample_rate) < least:
                raise ValueError(f"a {name} of {value:g} s is too short; give at least {least / sample_rate:.2g} s")

    def clips(self, samples: int, sample_rate: int, shortest: int) -> Iterator[tuple[int, int]]:
        """Where the rows of a recording begin and end, in samples; not for frames.

        Windows begin at 0, one hop, two hops, …, up to the first that reaches the end of the recording, where it is
        cut. A rest shorter than ``shortest`` is left out, unless it is all.

        >>> list(Division("window", 10, 5).clips(12, 1, 1)), list(Division("window", 10, 10).clips(20, 1, 1))
        ([(0, 10), (5, 12)], [(0, 10), (10, 20)])
        """
        if self.window is None or self.hop is None:
            yield 0, samples
            return
        length = round(self.window * sample_rate)
        index = start = 0
        while index == 0 or samples - start >= shortest:
            stop = min(start + length, samples)
            yield start, stop
            if stop == samples:
                return
            index += 1
            start = round(index * self.hop * sample_rate)


@dataclass(frozen=True)
class Failure:
    """A recording that cannot be embedded, and why, in a sentence."""

    path: str
    reason: str


@dataclass(frozen=True)
class Kept:
    """A recording whose content needs not be embedded, as its rows exist."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of a recording: all, or the next ones.

    Attributes:
        rows: at least one, or none in the last piece.
        last: whether the recording is done.
        recording: which.
        advance: seconds of the recording that no piece before it has reached.
    """

    rows: Rows
    last: bool
    recording: Recording
    advance: float


def embed(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    model: Embedder | None = None,
    *,
    window: float | None = None,
    hop: float | None = None,
    frames: bool = False,
    workers: int = WORKERS,
    on_error: Callable[[str, str], None] | None = None,
) -> Iterator[Rows]:
    """Embed recordings, however long, in bounded memory.

    Args:
        paths: files, and folders that are searched for them.
        model: from `hear_multiview.load_model`, where it is to run; None is the bundled one.
        window, hop: length of a window and distance from one to the next, in seconds: one row per window. Without a
            hop, windows follow one another.
        frames: one row per frame of the model.
        workers: threads that read recordings.
        on_error: called with the path of a recording that cannot be embedded and the reason; None raises it.

    Yields:
        For each recording its rows with ``path``, ``sha256``, ``start`` and ``end`` in seconds, float64 [row], and
        ``embeddings``, float32 [row, dim]; in several parts where it is divided into windows or frames.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a recording cannot be embedded, or an option cannot be used.
    """
    division, found = Division.of(window, hop, frames), find_recordings(paths)
    for item in embed_each(found, model or load_model(), division, workers=workers):
        if isinstance(item, Piece) and len(item.rows.start):
            yield item.rows
        elif isinstance(item, Failure):
            if on_error is None:
                raise ValueError(item.reason)
            on_error(item.path, item.reason)


def embed_each(
    paths: Iterable[str],
    model: Embedder,
    division: Division,
    *,
    workers: int = WORKERS,
    known: Callable[[str], bool] = lambda sha256: False,
) -> Iterator[Piece | Failure | Kept]:
    """Embed recordings in order, where the rows of one are consecutive.

    Args:
        paths: the files.
        model: where it is to run.
        division: what a row is.
        workers: threads that read.
        known: whether the rows of a file with this sha256 exist already.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers cannot read; give at least 1")
    division.require_fit(model.sample_rate, _shortest(model))

    def prepare(path: str) -> Recording | Failure | Kept:
        try:
            sha256 = identify(path)
            if known(sha256):
                return Kept(path, sha256)
            recording = open_recording(path, sha256, model.sample_rate, model.device)
        except ValueError as error:
            return Failure(path, str(error))
        if recording.audio.shape[1] < (shortest := _shortest(model)):
            length = f"{shortest / model.sample_rate:.2g} s"
            return Failure(path, f"{path} is shorter than half a frame of the front end, {length}; leave it out")
        return recording

    batches = _Batches(model, division)
    for item in _ahead(prepare, paths, workers):
        if not isinstance(item, Recording):
            yield from batches.flush()
            yield item
        elif division.kind == "frame":
            yield from _guarded(item, _frames(item, model))
        else:
            yield from batches.add(item)
    yield from batches.flush()


def _shortest(model: Embedder) -> int:
    """The fewest samples that the HEAR API accepts."""
    return math.ceil(model.frontend.hop / 2)


def _ahead(
    prepare: Callable[[str], Recording | Failure | Kept], paths: Iterable[str], workers: int
) -> Iterator[Recording | Failure | Kept]:
    """``prepare`` each path in threads, a few before they are asked for, in order."""
    coming: deque[Future[Recording | Failure | Kept]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        try:
            for path in paths:
                coming.append(pool.submit(prepare, path))
                if len(coming) > workers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def _guarded(recording: Recording, pieces: Iterator[Piece]) -> Iterator[Piece | Failure]:
    """``pieces``, or a `Failure` in place of the rest where the recording or the model fails."""
    try:
        yield from pieces
    except ValueError as error:
        yield Failure(recording.path, _named(recording.path, error))


def _named(path: str, error: ValueError) -> str:
    """What ``error`` says, with the file's name."""
    return str(error) if path in str(error) else f"{path} cannot be embedded: {error}"


def _frames(recording: Recording, model: Embedder) -> Iterator[Piece]:
    """Every frame of a recording, as they come."""
    audio = recording.audio.to(model.device) if isinstance(recording.audio, Tensor) else recording.audio
    step = model.frontend.hop * model.stride / model.sample_rate
    stream, done = model.stream(audio), 0
    while True:
        with as_loaded(model):  # not around the yield: what is in between is not the model's
            chunk = next(stream, None)
        if chunk is None:
            break
        embeddings, times = chunk
        count = embeddings.shape[1]
        if model.frontend.padded:  # exact, while float32 milliseconds are coarse after hours
            start = (done + np.arange(count)) * step
        else:
            start = np.maximum(times.double().numpy() / 1000 - step / 2, 0)
        end = np.minimum(start + step, recording.seconds)
        before, done = done, done + count
        advance = min(done * step, recording.seconds) - min(before * step, recording.seconds)
        yield Piece(_rows(recording, start, end, embeddings[0]), False, recording, advance)
    none = _rows(recording, np.empty(0), np.empty(0), torch.empty(0, model.timestamp_embedding_size))
    yield Piece(none, True, recording, max(0.0, recording.seconds - done * step))


def _rows(recording: Recording, start: np.ndarray, end: np.ndarray, embeddings: Tensor) -> Rows:
    return Rows(recording.path, recording.sha256, start, end, embeddings.float().cpu().numpy())


@dataclass(frozen=True)
class _Clip:
    recording: Recording
    start: int
    stop: int
    last: bool
    audio: Tensor


class _Batches:
    """Clips of recordings, embedded one by one on a CPU and in batches of one length elsewhere."""

    def __init__(self, model: Embedder, division: Division) -> None:
        self._model, self._division = model, division
        self._size = 1 if model.device.type == "cpu" else BATCH_CLIPS
        self._waiting: list[_Clip] = []
        self._failed = ""  # path of the recording that failed last

    def add(self, recording: Recording) -> Iterator[Piece | Failure]:
        """Take in a recording, and yield what is embedded by now."""
        audio = recording.audio
        if self._division.kind == "file" and not isinstance(audio, Tensor):
            yield from self.flush()
            yield from _guarded(recording, self._whole(recording))
            return
        samples = audio.shape[1]
        clips = self._division.clips(samples, self._model.sample_rate, _shortest(self._model))
        following = next(clips, None)
        while following is not None:
            (start, stop), following = following, next(clips, None)
            try:
                clip = _Clip(recording, start, stop, following is None, audio[:, start:stop])
            except ValueError as error:  # of a file that is read while it is embedded
                yield from self.flush()
                yield Failure(recording.path, str(error))
                return
            if self._failed == recording.path:
                return
            if self._waiting and self._waiting[0].audio.shape != clip.audio.shape:
                yield from self.flush()
            self._waiting.append(clip)
            if len(self._waiting) >= self._size:
                yield from self.flush()

    def flush(self) -> Iterator[Piece | Failure]:
        """Embed what is waiting."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            with as_loaded(self._model):
                found = self._model.scene(torch.cat([clip.audio for clip in waiting]).to(self._model.device)).cpu()
        except ValueError as error:
            if len({clip.recording.path for clip in waiting}) > 1:  # find out whose fault it is
                for clip in waiting:
                    self._waiting = [clip] if clip.recording.path != self._failed else []
                    yield from self.flush()
                return
            self._failed = waiting[0].recording.path
            yield Failure(self._failed, _named(self._failed, error))
            return
        for clip, row in zip(waiting, found, strict=True):
            yield self._piece(clip.recording, clip.start, clip.stop, row, last=clip.last)

    def _whole(self, recording: Recording) -> Iterator[Piece]:
        with as_loaded(self._model):
            row = self._model.scene(recording.audio)[0].cpu()
        yield self._piece(recording, 0, recording.audio.shape[1], row, last=True)

    def _piece(self, recording: Recording, start: int, stop: int, row: Tensor, *, last: bool) -> Piece:
        rate = self._model.sample_rate
        end = recording.seconds if stop == recording.audio.shape[1] else stop / rate
        hop = self._division.hop
        advance = end - start / rate if last or hop is None else min(hop, recording.seconds - start / rate)
        rows = _rows(recording, np.array([start / rate]), np.array([end]), row[None])
        return Piece(rows, last, recording, advance)
