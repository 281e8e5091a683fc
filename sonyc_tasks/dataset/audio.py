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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sonyc_tasks.dataset.containers import sample_lengths

#: Largest sample that is accepted; full scale is 1. Float files and lossy codecs may exceed full scale by up to 6 dB.
OVERSHOOT = 2.0
#: Sample formats that can exceed full scale or hold NaN.
FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")

_SAMPLE_RATES = (1_000, 1_000_000)  # Hz; the cost of resampling depends on the ratio of two rates
_BLOCK = 1 << 20  # samples of all channels together
_AGAIN = "download or convert it again, or leave it out of the data set"
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
    samples, rate = decode(path)
    if len(samples) == 0:
        raise ValueError(f"{path} has no samples; {_AGAIN}")
    if fault := scale_fault(samples):
        raise ValueError(f"{path} {fault}")
    if (kept := cancelling(samples)) is not None:
        warnings.warn(f"{path}: the channels cancel each other; only channel {kept + 1} is read", stacklevel=2)
        samples = samples[:, [kept]]
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    if rate != sample_rate:
        with _naming(path):
            mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return mono


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
    _size(path)
    with _naming(path):
        lengths = sample_lengths(path)
        stream, announced = _open(path)
        with stream as file:
            rate = file.samplerate
            blocks = list(_blocks(file, announced))
            samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    _require_rate(path, rate)
    if stream.format == "FLAC" and announced is not None and len(samples) != announced:
        raise ValueError(_contradicted(path, len(samples) < announced))
    if lengths is not None and not lengths.agree:
        raise ValueError(_contradicted(path, lengths.held < lengths.announced))
    return samples, rate


def scale_fault(samples: np.ndarray) -> str | None:
    """Return what is wrong with the values of ``samples``, and what to do; None if all are within ±`OVERSHOOT`."""
    peak = max(float(samples.max()), -float(samples.min())) if samples.size else 0.0
    if not np.isfinite(peak):
        return "has NaN or infinite samples; convert it again, or leave it out of the data set"
    if peak > OVERSHOOT:
        return (
            f"has samples up to {peak:g}, but full scale is 1; divide every file of the data set by the same number "
            "(32768 for 16-bit integers)"
        )
    return None


def cancelling(samples: np.ndarray) -> int | None:
    """Return the loudest channel of ``samples`` [sample, channel] if the channels cancel in their mean, else None.

    If only one of C channels has sound, 1/C² of its power is left in the mean; channels that do not oppose each other
    leave more. Channels cancel if the mean has less than a quarter of that; two equally loud ones do at a correlation
    below -7/8. Power is the variance over time, as a constant offset is not sound.
    """
    channels = samples.shape[1]
    if channels == 1:
        return None
    power = samples.var(axis=0, dtype=np.float64)
    loudest = int(power.argmax())
    left = samples.mean(axis=1, dtype=np.float64).var()
    return loudest if left < power[loudest] / (4 * channels**2) else None


def fit(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut the end of ``samples`` [sample], or pad it with zeros, to [length].

    >>> fit(np.array([1.0, 2.0, 3.0]), 2), fit(np.array([1.0]), 3)
    (array([1., 2.]), array([1., 0., 0.]))
    """
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


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
    soundfile.write(str(path), np.clip(scaled, -32768, 32767).astype(np.int16), sample_rate, subtype="PCM_16")
    # Full scale itself rounds to one step above the largest code, which is not audible limiting.
    return high > 32768 or low < -32768


class Stream(soundfile.SoundFile):
    """A sound file that is read from beginning to end.

    soundfile seeks after every read of a seekable file, which fails at the end of a FLAC file of unknown length, and it
    never reads more frames than the header announces.
    """

    def seekable(self) -> bool:
        return False


def _open(path: str | Path) -> tuple[Stream, int | None]:
    """Open a file; also return how many frames it announces (None if it does not).

    libsndfile stops reading a FLAC file where its header says, whatever follows. So a FLAC file is decoded from memory,
    with its length set to unknown there (36 zero bits, RFC 9639, 8.2).
    """
    with open(path, "rb") as raw:
        content = raw.read(4)
        if content == b"fLaC":
            content += raw.read()
    if content[:4] != b"fLaC":
        file = Stream(str(path))
        return file, file.frames
    header = bytearray(content)
    announced = int.from_bytes(header[21:26], "big") & ((1 << 36) - 1)
    header[21:26] = (int.from_bytes(header[21:26], "big") & ~((1 << 36) - 1)).to_bytes(5, "big")
    return Stream(io.BytesIO(header)), announced or None


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
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, ArithmeticError, OSError) as error:
        raise ValueError(f"{path} cannot be decoded as audio; {_AGAIN}") from error


def _contradicted(path: str | Path, short: bool) -> str:
    what = "is damaged, or ends before its header says" if short else "has more samples than its header announces"
    return f"{path} {what}; {_AGAIN}"
