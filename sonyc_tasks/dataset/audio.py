"""Audio files in and out: any file to mono float at one sample rate and one length, and back to 16-bit PCM.

Every file is read here. The numbers in a header are claims: a file is decoded in blocks to its end, and one that holds
less or more than its header announces is refused. Every error names the file.
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

#: Largest sample that is read; full scale is 1. Float files and lossy codecs may go beyond it, by 6 dB at most.
OVERSHOOT = 2.0
#: The kinds of samples that can lie beyond full scale, or be no numbers.
FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")

_SAMPLE_RATES = (1_000, 1_000_000)  # Hz; what resampling costs goes by the ratio of two rates
_BLOCK = 1 << 20  # samples of all channels together
# No codec of libsndfile packs more into a byte: of FLAC's digital silence, 65,535 frames take 14 bytes.
_FRAMES_PER_BYTE = 8192


@dataclass(frozen=True)
class Header:
    """What a file says of itself; ``frames`` are counted by decoding where the file gives no possible number."""

    sample_rate: int  # Hz
    channels: int
    frames: int
    subtype: str  # of the samples, in libsndfile's words: PCM_16, FLOAT, …
    whole: bool  # the file goes on to where its header says that it ends, and no further

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.frames / self.sample_rate


def read_mono(path: str | Path, sample_rate: int) -> np.ndarray:
    """The samples of an audio file as float32 [n], the mean of its channels, at ``sample_rate`` Hz.

    Full scale is ±1. Resampling (soxr, its HQ setting) rings at steep edges, so a file whose peaks touch full scale
    can come out a little beyond ±1; nothing is limited here.

    Where channels cancel each other in the mean (see :func:`cancelling`), the loudest is read alone, with a warning.

    Raises ValueError where the file is missing, cannot be decoded, holds no samples, less or more of them than its
    header announces, NaN or infinity, or samples beyond :data:`OVERSHOOT`.
    """
    samples, rate = decode(path)
    if len(samples) == 0:
        raise ValueError(f"{path} holds no samples; fetch it again, or leave it out of the data set")
    if fault := scale_fault(samples):
        raise ValueError(f"{path} {fault}")
    if (kept := cancelling(samples)) is not None:
        warnings.warn(f"{path}: its channels cancel each other; channel {kept + 1} is read alone", stacklevel=2)
        samples = samples[:, [kept]]
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    if rate != sample_rate:
        with _naming(path):
            mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return mono


def duration(path: str | Path) -> float:
    """Length of an audio file in seconds, from its header; by decoding where that has no possible number.

    Raises ValueError where the file is missing or cannot be decoded.
    """
    return read_header(path).seconds


def read_header(path: str | Path, *, thorough: bool = False) -> Header:
    """The header of an audio file. Raises ValueError where the file is missing or cannot be decoded.

    thorough: also look at where the file ends; without it, ``whole`` is True.
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
    """All samples of an audio file as float32 [n, channel], and its sample rate in Hz. Raises as :func:`read_mono`."""
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
    """What is wrong with the values of ``samples``, and what to do; None for what lies in ±:data:`OVERSHOOT`."""
    peak = max(float(samples.max()), -float(samples.min())) if samples.size else 0.0
    if not np.isfinite(peak):
        return "holds NaN or infinite samples; convert it again, or leave it out of the data set"
    if peak > OVERSHOOT:
        return (
            f"holds samples up to {peak:g}, where full scale is 1; divide every file of the data set by the same "
            "number (32768 for samples in 16-bit steps)"
        )
    return None


def cancelling(samples: np.ndarray) -> int | None:
    """The loudest channel of ``samples`` [n, channel] where the channels cancel each other in their mean, else None.

    One of C channels that is heard alone leaves 1/C² of its power in the mean, and channels that do not oppose each
    other leave more. They cancel where the mean has less than a quarter of that. Two equally loud channels do so with
    a correlation below −7/8. Power is counted about the mean over time: a constant offset is no sound.
    """
    channels = samples.shape[1]
    if channels == 1:
        return None
    power = samples.var(axis=0, dtype=np.float64)
    loudest = int(power.argmax())
    left = samples.mean(axis=1, dtype=np.float64).var()
    return loudest if left < power[loudest] / (4 * channels**2) else None


def fit(samples: np.ndarray, length: int) -> np.ndarray:
    """``samples`` [n] cut at its end, or lengthened there with zeros, to [length].

    >>> fit(np.array([1.0, 2.0, 3.0]), 2), fit(np.array([1.0]), 3)
    (array([1., 2.]), array([1., 0., 0.]))
    """
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def write_pcm16(path: str | Path, samples: np.ndarray, sample_rate: int) -> bool:
    """Write mono float samples [n] as a 16-bit PCM WAV file; True if some lay beyond full scale and were limited.

    Sixteen-bit input that was only read and not resampled comes out bit for bit as it went in. Warns where sound is so
    faint that 16 bits make silence of it. Raises ValueError for samples beyond twice :data:`OVERSHOOT`, which no
    resampled file has.
    """
    scaled = np.rint(samples * 32768.0)
    low, high = (float(scaled.min()), float(scaled.max())) if scaled.size else (0.0, 0.0)
    if not max(-low, high) <= 2 * OVERSHOOT * 32768:
        raise ValueError(f"{path}: samples up to {max(-low, high) / 32768:g} cannot be written; scale them to ±1")
    if low == high == 0 and np.any(samples):
        warnings.warn(f"{path}: the samples are below half a step of 16 bits and become silence", stacklevel=2)
    soundfile.write(str(path), np.clip(scaled, -32768, 32767).astype(np.int16), sample_rate, subtype="PCM_16")
    # One step above the largest code is what rounding makes of full scale itself, and no audible limiting.
    return high > 32768 or low < -32768


class Stream(soundfile.SoundFile):
    """A sound file that is read from beginning to end.

    soundfile seeks behind every read of a seekable file, which fails at the end of a FLAC file whose length is not
    known. It also never asks for more frames than the header has.
    """

    def seekable(self) -> bool:
        return False


def _open(path: str | Path) -> tuple[Stream, int | None]:
    """The file, and how many frames it announces (None: it does not say).

    libsndfile ends a FLAC file where its header does, whatever follows. Such a file is decoded from memory, with its
    length made unknown there (RFC 9639, 8.2: 36 bits that are 0), and counted.
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
    """The samples from here to the end, at least one array [n, channel]; memory goes by what is there.

    expected: frames to come, by the header.
    """
    block = max(1, _BLOCK // file.channels)
    # One more than expected shows whether the file goes on, without another read.
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
    except soundfile.LibsndfileError:  # of a FLAC file that ends early
        return False


def _size(path: str | Path) -> int:
    """Bytes of a file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise ValueError(f"there is no audio file {path}; check the path, or fetch the data set again")
    return status.st_size


def _require_rate(path: str | Path, rate: int) -> None:
    if not _SAMPLE_RATES[0] <= rate <= _SAMPLE_RATES[1]:
        raise ValueError(
            f"{path} has {rate} Hz by its header, which is no sample rate of sound; correct the header, or leave the "
            "file out of the data set"
        )


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """A ValueError with the file's name, of whatever a library raises."""
    try:
        yield
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into memory; cut it into shorter files") from error
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, ArithmeticError, OSError) as error:
        raise ValueError(
            f"{path} cannot be decoded as audio; fetch it again, or leave it out of the data set"
        ) from error


def _contradicted(path: str | Path, short: bool) -> str:
    what = "is damaged or ends before its header says" if short else "holds more than its header announces"
    return f"{path} {what}; fetch it or convert it again, or leave it out of the data set"
