"""Recordings found, identified by their content, and read as a model wants them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.audio.streamed import Audio, StreamedAudio
from hear_multiview.embedder import Embedder
from sonyc_tasks.dataset.audio import open_mono, read_mono
from sonyc_tasks.files import file_digest

#: Most samples of a recording in memory, decoded or resampled: 3 minutes at 44.1 kHz, 32 MB. Longer ones are streamed.
MAX_SAMPLES = 1 << 23
#: Names of files in a folder that are recordings: libsndfile's formats, and other names of some of them. A file without
#: a header (RAW) cannot be one.
SUFFIXES = frozenset(
    {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
    | {".aif", ".aifc", ".oga", ".opus", ".wave", ".bwf"}
)


@dataclass(frozen=True)
class Recording:
    """A recording that is ready to be embedded.

    Attributes:
        path: as it was given.
        sha256: of the file.
        audio: [1, sample], mono at the model's sample rate.
        seconds: its length.
    """

    path: str
    sha256: str
    audio: Audio
    seconds: float


def find_recordings(paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[str]:
    """Every recording in ``paths``, once each: files as they are given, folders with all that is in them, sorted.

    Of a folder's files those count whose suffix is one of `SUFFIXES`. Hidden files and folders are left out.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: there is no recording.
    """
    found: dict[str, None] = {}
    given = [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    for path in given:
        if os.path.isdir(path):
            found |= dict.fromkeys(_in_folder(path))
        elif os.path.exists(path):
            found[path] = None
        else:
            raise FileNotFoundError(f"there is no recording {path}; check the path")
    if not found:
        raise ValueError(f"there is no recording in {', '.join(given) or 'an empty list'}; give files or their folders")
    return list(found)


def _in_folder(folder: str) -> list[str]:
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = (name for name in sorted(files) if not name.startswith("."))
        found += [os.path.join(parent, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
    return found


def read(path: str | os.PathLike[str], model: Embedder | None = None) -> Tensor:
    """Read a recording as the two functions of the HEAR API take it.

    Args:
        path: any file that libsndfile reads: WAV, FLAC, OGG, MP3, AIFF, …
        model: from `hear_multiview.load_model`, whose sample rate the audio gets; None is the bundled one.

    Returns:
        float32 [1, sample] on the CPU: the mean of the channels, resampled. If channels cancel each other in the mean,
        only the loudest, with a warning.

    Raises:
        ValueError: the file is missing, cannot be decoded, is damaged or empty, or has samples beyond ±2, NaN or
            infinity.
    """
    rate = model.sample_rate if model else int(checkpoint.load(BUNDLED).card["frontend"]["sample_rate"])
    return torch.from_numpy(np.ascontiguousarray(read_mono(os.fspath(path), rate)))[None]


def open_recording(path: str, sha256: str, sample_rate: int, device: torch.device | str = "cpu") -> Recording:
    """Open a recording: in memory where it has at most `MAX_SAMPLES`, else to be read while it is embedded.

    Args:
        path: the file.
        sha256: of the file.
        sample_rate: that the model takes, in Hz.
        device: where slices of audio are that is read while it is embedded; audio in memory is on the CPU.

    Raises:
        ValueError: as for `read`.
    """
    file = open_mono(path, sample_rate, keep=MAX_SAMPLES)
    audio: Audio = StreamedAudio(file.blocks, file.length, device)
    if file.in_memory and file.length <= MAX_SAMPLES:
        audio = torch.from_numpy(np.concatenate(list(file.blocks())))[None]
    return Recording(path, sha256, audio, file.source_frames / file.source_rate)


def identify(path: str) -> str:
    """The sha256 of a recording's file.

    Raises:
        ValueError: it cannot be read.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # reading a pipe would wait for ever
        raise ValueError(f"{path} is not a file; leave it out")
    try:
        return file_digest(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); check the file") from error
