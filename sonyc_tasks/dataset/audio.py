"""Read any audio file as mono float at a given sample rate and length, and write 16-bit PCM.

The numbers in a header are not trusted: a file is decoded in blocks to its end, and refused if it holds less or more
than its header announces. Every error names the file.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from sonyc_tasks.dataset.containers import sample_lengths
from sonyc_tasks.errors import errors_named

#: Largest sample that is accepted; full scale is 1. Float files and lossy codecs may exceed full scale by up to 6 dB.
OVERSHOOT = 2.0
#: Sample formats that can exceed full scale or hold NaN.
FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")

_SAMPLE_RATES = (1_000, 1_000_000)  # Hz; the cost of resampling depends on the ratio of two rates
_BLOCK = 1 << 20  # samples of all channels together
_AGAIN = "download or convert it again, or leave it out"
# No codec of libsndfile compresses more: 65,535 frames of digital silence take 14 bytes of FLAC.
_FRAMES_PER_BYTE = 8192


@dataclass(frozen=True)
class Header:
    """The header of a file; ``frames`` are counted by decoding if the header's number is impossible."""

    sample_rate: int  # Hz
    channels: int
    frames: int
    subtype: str  # libsndfile's name of the sample format: PCM_16, FLOAT, …
    whole: bool  # the file ends where its header says

    @property
    def seconds(self) -> float:
        """Length of the file in seconds."""
        return self.frames / self.sample_rate


def read_mono(path: str | Path, sample_rate: int) -> np.ndarray:
    """Read an audio file as the mean of its channels.

    If channels cancel each other in the mean (see `cancelling`), only the loudest is read, with a warning. Resampling
    (soxr, quality HQ) rings at steep edges, so a file whose peaks touch full scale can slightly exceed ±1; nothing is
    limited here.

    Args:
        path: The file.
        sample_rate: Of the result, in Hz.

    Returns:
        float32 [sample]; full scale is ±1.

    Raises:
        ValueError: The file is missing, cannot be decoded, has no samples, fewer or more than its header announces, NaN
            or infinity, or samples beyond `OVERSHOOT`.
    """
    blocks = list(open_mono(path, sample_rate, keep=None).blocks())
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


@dataclass(frozen=True)
class MonoFile:
    """A sound audio file, to be read as `read_mono` reads it, but a block at a time.

    Attributes:
        path: The file.
        sample_rate: Of the result, in Hz.
        source_rate: Of the file, in Hz.
        source_frames: Samples per channel in the file.
        channel: The only channel that is read, or None for the mean of all.
    """

    path: str | Path
    sample_rate: int
    source_rate: int
    source_frames: int
    channel: int | None
    _decoded: list[np.ndarray] | None = field(repr=False)  # if all of it fits

    @property
    def length(self) -> int:
        """Number of samples of the result, rounded as soxr does, which divides by the inexact ratio of the rates."""
        return int(self.source_frames / (self.source_rate / self.sample_rate) + 0.5)

    @property
    def in_memory(self) -> bool:
        """Whether the decoded file is kept in memory."""
        return self._decoded is not None

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the samples in order, float32 [sample]; together they are those of `read_mono`, to the bit.

        Raises:
            ValueError: The file has changed since it was opened.
        """
        mono = map(self._mixed, self._source())
        if self.source_rate == self.sample_rate:
            yield from mono
            return
        with _naming(self.path):
            resampler = soxr.ResampleStream(self.source_rate, self.sample_rate, 1, dtype="float32", quality="HQ")
        step = max(1, min(_BLOCK, _BLOCK * self.source_rate // self.sample_rate))
        for block in mono:
            for start in range(0, len(block), step):
                yield self._resampled(resampler, block[start : start + step])
        yield self._resampled(resampler, np.empty(0, np.float32), last=True)

    def _resampled(self, resampler: soxr.ResampleStream, samples: np.ndarray, *, last: bool = False) -> np.ndarray:
        with _naming(self.path):
            return resampler.resample_chunk(np.ascontiguousarray(samples), last=last)

    def _source(self) -> Iterator[np.ndarray]:
        """The decoded blocks [sample, channel], from memory or once more from the file."""
        if self._decoded is not None:
            yield from self._decoded
            return
        _, blocks = _decoding(self.path)
        frames = 0
        for block in blocks:
            frames += len(block)
            yield block
        if frames != self.source_frames:
            raise ValueError(f"{self.path} has changed while it was read; run the command again")

    def _mixed(self, samples: np.ndarray) -> np.ndarray:
        if self.channel is not None or samples.shape[1] == 1:
            return samples[:, self.channel or 0]
        mean: np.ndarray = samples.mean(axis=1, dtype=np.float32)
        return mean


def open_mono(path: str | Path, sample_rate: int, *, keep: int | None = 1 << 24) -> MonoFile:
    """Decode an audio file once, to know that it is sound, and prepare to read it as `read_mono` does.

    Args:
        path: The file.
        sample_rate: Of the result, in Hz.
        keep: The most samples, of all channels together, to keep decoded; a longer file is decoded again to be read.
            None is any number.

    Raises:
        ValueError: As for `read_mono`.
    """
    rate, blocks = _decoding(path)
    held: list[np.ndarray] | None = []
    power, size, peak = ChannelPower(), 0, 0.0
    for block in blocks:
        size += block.size
        peak = max(_peak(block), peak)
        power.add(block)
        if held is not None:
            held.append(block)
        if keep is not None and size > keep:
            held = None
    if size == 0:
        raise ValueError(f"{path} has no samples; {_AGAIN}")
    if fault := _peak_fault(peak):
        raise ValueError(f"{path} {fault}")
    if (channel := power.cancelling()) is not None:
        warnings.warn(f"{path}: the channels cancel each other; only channel {channel + 1} is read", stacklevel=2)
    return MonoFile(path, sample_rate, rate, power.frames, channel, held)


def duration(path: str | Path) -> float:
    """Return the length of an audio file in seconds, from its header (see `read_header`)."""
    return read_header(path).seconds


def read_header(path: str | Path, *, thorough: bool = False) -> Header:
    """Read the header of an audio file.

    Args:
        path: The file.
        thorough: Also check where the file ends; otherwise ``whole`` is True.

    Raises:
        ValueError: The file is missing or cannot be decoded.
    """
    size = _size(path)
    with _naming(path), Stream(str(path)) as file:
        frames, whole = file.frames, True
        if not 0 <= frames <= size * _FRAMES_PER_BYTE:
            frames = sum(map(len, _blocks(file, None)))
        elif thorough:
            whole = _is_whole(path, file)
        header = Header(file.samplerate, file.channels, frames, file.subtype, whole)
    _require_rate(path, header.sample_rate)
    return header


def decode(path: str | Path) -> tuple[np.ndarray, int]:
    """Decode all samples of an audio file, float32 [sample, channel], and its sample rate in Hz.

    Raises:
        ValueError: The file is missing, cannot be decoded, or has fewer or more samples than its header announces.
    """
    rate, decoded = _decoding(path)
    blocks = list(decoded)
    with _naming(path):
        return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)), rate


def scale_fault(samples: np.ndarray) -> str | None:
    """Return what is wrong with the values of ``samples``, and what to do; None if all are within ±`OVERSHOOT`."""
    return _peak_fault(_peak(samples))


def cancelling(samples: np.ndarray) -> int | None:
    """Return the loudest channel of ``samples`` [sample, channel] if the channels cancel in their mean, else None.

    If only one of C channels has sound, 1/C² of its power is left in the mean; channels that do not oppose each other
    leave more. Channels cancel if the mean has less than a quarter of that; two equally loud ones do at a correlation
    below -7/8. Power is the variance over time, as a constant offset is not sound.
    """
    power = ChannelPower()
    power.add(samples)
    return power.cancelling()


class ChannelPower:
    """The variance over time of each channel and of their mean, from consecutive blocks."""

    def __init__(self) -> None:
        self.frames = 0
        self._mean = self._squares = np.zeros(1)  # [channel + 1]; squares of the deviations from the mean, summed

    def add(self, samples: np.ndarray) -> None:
        """Take in the next block [sample, channel]."""
        count, channels = samples.shape
        if not count or channels == 1:
            self.frames += count
            return
        total = self.frames + count
        with np.errstate(invalid="ignore", over="ignore"):  # a file of infinite samples is refused later
            mixed = samples.mean(axis=1, dtype=np.float64)
            mean = np.append(samples.mean(axis=0, dtype=np.float64), mixed.mean())
            squares = np.append(samples.var(axis=0, dtype=np.float64), mixed.var()) * count
            away = mean - self._mean  # Chan et al. 1979: how the variances of two sets combine
            self._squares = self._squares + squares + away**2 * (self.frames * count / total)
            self._mean = self._mean + away * (count / total)
        self.frames = total

    def cancelling(self) -> int | None:
        """As `cancelling` says, for all that was taken in."""
        *channels, mixed = self._squares.tolist()
        if not channels:
            return None
        loudest = int(np.argmax(channels))
        return loudest if mixed < channels[loudest] / (4 * len(channels) ** 2) else None


def fit(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut the end of ``samples`` [sample], or pad it with zeros, to [length].

    >>> fit(np.array([1.0, 2.0, 3.0]), 2), fit(np.array([1.0]), 3)
    (array([1., 2.]), array([1., 0., 0.]))
    """
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write mono ``samples`` [sample], float or int16, as a WAV file of 16 bits, as `soundfile.write` does.

    Raises:
        OSError: It cannot be written, with the cause; libsndfile would call a full disk a "System error".
    """
    soundfile.write(wav := io.BytesIO(), samples, sample_rate, format="WAV", subtype="PCM_16")
    with errors_named(path):
        path.write_bytes(wav.getvalue())


def write_pcm16(path: str | Path, samples: np.ndarray, sample_rate: int) -> bool:
    """Write mono float samples [sample] as a 16-bit PCM WAV file.

    16-bit input that was not resampled is written bit-exactly. Warns if the sound is so faint that 16 bits turn it into
    silence.

    Returns:
        Whether samples were limited to full scale.

    Raises:
        ValueError: A sample is beyond twice `OVERSHOOT`, which no resampled file has.
    """
    scaled = np.rint(samples * 32768.0)
    low, high = (float(scaled.min()), float(scaled.max())) if scaled.size else (0.0, 0.0)
    if not max(-low, high) <= 2 * OVERSHOOT * 32768:
        raise ValueError(f"{path} cannot hold samples up to {max(-low, high) / 32768:g}; scale them to ±1")
    if low == high == 0 and np.any(samples):
        warnings.warn(f"{path}: all samples are below half a 16-bit step and become silence", stacklevel=2)
    write_wav(Path(path), np.clip(scaled, -32768, 32767).astype(np.int16), sample_rate)
    # Full scale itself rounds to one step above the largest code, which is not audible limiting.
    return high > 32768 or low < -32768


class Stream(soundfile.SoundFile):
    """A sound file that is read from beginning to end.

    soundfile seeks after every read of a seekable file, which fails at the end of a FLAC file of unknown length, and it
    never reads more frames than the header announces.
    """

    def __init__(self, file: str | io.FileIO) -> None:
        """Open a path, or a file, which is closed with the stream."""
        self._given = file
        super().__init__(file)

    def close(self) -> None:
        """Close the stream, as leaving a ``with`` block does."""
        super().close()
        if isinstance(self._given, io.FileIO):
            self._given.close()

    def seekable(self) -> bool:
        return False


class _UnknownLength(io.FileIO):
    """A FLAC file in whose header the number of samples is unknown (36 zero bits, RFC 9639, 8.2).

    libsndfile stops reading a FLAC file where its header says, whatever follows.
    """

    def readinto(self, buffer: Any) -> int | None:
        position = self.tell()
        count = super().readinto(buffer)
        view = memoryview(buffer).cast("B")
        for place, kept in ((21, 0xF0), *((k, 0x00) for k in range(22, 26))):
            if position <= place < position + (count or 0):
                view[place - position] &= kept
        return count


def _open(path: str | Path) -> tuple[Stream, int | None]:
    """Open a file; also return how many frames it announces (None if it does not).

    A FLAC file is opened as `_UnknownLength`.
    """
    with open(path, "rb") as raw:
        header = raw.read(26)
    if header[:4] != b"fLaC":
        file = Stream(str(path))
        return file, file.frames
    announced = int.from_bytes(header[21:26], "big") & ((1 << 36) - 1)
    return Stream(_UnknownLength(str(path))), announced or None


def _decoding(path: str | Path) -> tuple[int, Iterator[np.ndarray]]:
    """Open a file: its sample rate in Hz, and its samples in blocks float32 [sample, channel], at least one.

    At the end of the blocks, ValueError says whether the file has fewer or more samples than its header announces.
    """
    _size(path)
    with _naming(path):
        lengths = sample_lengths(path)
        stream, announced = _open(path)
    _require_rate(path, stream.samplerate)

    def blocks() -> Iterator[np.ndarray]:
        frames = 0
        with stream as file:
            decoded = _blocks(file, announced)
            while True:
                with _naming(path):
                    block = next(decoded, None)
                if block is None:
                    break
                frames += len(block)
                yield block
        if stream.format == "FLAC" and announced is not None and frames != announced:
            raise ValueError(_contradicted(path, frames < announced))
        if lengths is not None and not lengths.agree:
            raise ValueError(_contradicted(path, lengths.held < lengths.announced))

    return stream.samplerate, blocks()


def _blocks(file: Stream, expected: int | None) -> Iterator[np.ndarray]:
    """Yield the samples up to the end as arrays [sample, channel], at least one.

    Memory depends on what the file holds, not on ``expected``, the number of frames that its header announces.
    """
    block = max(1, _BLOCK // file.channels)
    # Reading one more than expected shows whether the file continues, without another read.
    size = block if expected is None else min(block, expected + 1)
    while True:
        samples = file.read(size, dtype="float32", always_2d=True)
        yield samples
        if len(samples) < size:
            return
        size = block


def _is_whole(path: str | Path, file: Stream) -> bool:
    lengths = sample_lengths(path)
    if lengths is not None:
        return lengths.announced <= lengths.held and lengths.agree and file.frames > 0
    if file.frames == 0:
        return False
    try:
        file.seek(file.frames - 1)
        return len(file.read(1)) == 1
    except soundfile.LibsndfileError:  # a truncated FLAC file
        return False


def _peak(samples: np.ndarray) -> float:
    """The largest magnitude of ``samples``, infinite if one is not a number; 0 if there are none."""
    peak = max(float(samples.max()), -float(samples.min())) if samples.size else 0.0
    return peak if np.isfinite(peak) else np.inf


def _peak_fault(peak: float) -> str | None:
    if not np.isfinite(peak):
        return "has NaN or infinite samples; convert it again, or leave it out"
    if peak > OVERSHOOT:
        return (
            f"has samples up to {peak:g}, but full scale is 1; divide every file of the data set by the same number "
            "(32768 for 16-bit integers)"
        )
    return None


def _size(path: str | Path) -> int:
    """Return the size of a file in bytes; ValueError if it is missing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise ValueError(f"there is no audio file {path}; check the path, or download the data set again")
    return status.st_size


def _require_rate(path: str | Path, rate: int) -> None:
    if not _SAMPLE_RATES[0] <= rate <= _SAMPLE_RATES[1]:
        raise ValueError(f"{path} has an impossible sample rate of {rate} Hz in its header; {_AGAIN}")


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Turn whatever a library raises into a ValueError with the file's name."""
    try:
        yield
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into memory; cut it into shorter files") from error
    except UnicodeEncodeError as error:  # of soundfile, which passes paths on in UTF-8
        raise ValueError(f"{path} has a name that is not UTF-8; rename the file") from error
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, ArithmeticError, OSError) as error:
        raise ValueError(f"{path} cannot be decoded as audio; {_AGAIN}") from error


def _contradicted(path: str | Path, short: bool) -> str:
    what = "is damaged, or ends before its header says" if short else "has more samples than its header announces"
    return f"{path} {what}; {_AGAIN}"
