"""Sound files of every kind, whole and spoilt, for the tests of what is promised in docs/reliability.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

#: Writes a number of files into a folder, and returns them: ``make_sounds(folder, count, seed)``.
MakeSounds = Callable[[Path, int, int], list[Path]]

#: Suffix, libsndfile's format and sample format, most channels.
KINDS = (
    ("wav", "WAV", "PCM_U8", 8),
    ("wav", "WAV", "PCM_16", 8),
    ("WAV", "WAV", "PCM_24", 8),
    ("wav", "WAV", "PCM_32", 8),
    ("wav", "WAVEX", "PCM_16", 8),
    ("wav", "WAV", "FLOAT", 8),
    ("wav", "WAV", "DOUBLE", 8),
    ("wav", "WAV", "ULAW", 2),
    ("wav", "WAV", "IMA_ADPCM", 2),
    ("wav", "RF64", "PCM_24", 8),
    ("w64", "W64", "PCM_16", 8),
    ("w64", "W64", "DOUBLE", 8),
    ("aiff", "AIFF", "PCM_S8", 8),
    ("aif", "AIFF", "PCM_24", 8),
    ("aiff", "AIFF", "FLOAT", 8),
    ("au", "AU", "PCM_32", 8),
    ("caf", "CAF", "PCM_24", 8),
    ("flac", "FLAC", "PCM_S8", 8),
    ("flac", "FLAC", "PCM_16", 8),
    ("Flac", "FLAC", "PCM_24", 8),
    ("ogg", "OGG", "VORBIS", 8),
    ("opus", "OGG", "OPUS", 2),
    ("mp3", "MP3", "MPEG_LAYER_III", 2),
)
RATES = (8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)
#: Those that a lossy codec takes.
LOSSY_RATES = {"OPUS": (8000, 16_000, 48_000), "MPEG_LAYER_III": (8000, 16_000, 22_050, 44_100, 48_000)}
#: Names that a shell, a csv file, a page or a terminal could trip over.
ODD_NAMES = (
    "white space",
    "comma,quote'",
    "-dash",
    "perc%20ent",
    "hash#",
    "<b>&amp;",
    "ünï·音",
    "new\nline",
    "a" * 200,
)
#: A name in Latin-1, as old archives have it. Other systems refuse such a name themselves.
LATIN_NAMES = (os.fsdecode(b"caf\xe9"),) if sys.platform == "linux" else ()


def sound(kind: str, frames: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Samples [frame, channel] of one kind of content."""
    noise = rng.uniform(-0.5, 0.5, (frames, channels))
    match kind:
        case "silence":
            return np.zeros_like(noise)
        case "offset":
            return np.full_like(noise, rng.uniform(-1, 1))
        case "clipped":
            return np.clip(20 * noise, -1, 1)
        case "faint":
            return 1e-6 * noise
        case "denormal":
            return 1e-41 * noise
        case "antiphase":
            return noise[:, :1] * (-1.0) ** np.arange(channels)
        case "click":
            return np.where(np.arange(frames)[:, None] == frames // 2, 1.0, 0.0) * np.ones(channels)
        case "not a number" | "infinite" | "off scale":
            spoilt = {"not a number": np.nan, "infinite": -np.inf, "off scale": 3e38}
            noise[rng.integers(frames) if frames else slice(0), rng.integers(channels)] = spoilt[kind]
    return noise


CONTENTS = ("noise", "silence", "offset", "clipped", "faint", "denormal", "antiphase", "click")
SPOILT = ("not a number", "infinite", "off scale")


def spoil(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` with one fault as a broken transfer, disk or program leaves it."""
    size, head = len(content), min(len(content), 64)
    at, data = int(rng.integers(max(size, 1))), bytearray(content)
    extreme = (0, 1, 0x7FFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFFF, size, 2 * size)
    match int(rng.integers(9)):
        case 0:  # the end is missing
            del data[at:]
        case 1:  # the beginning is missing
            del data[:at]
        case 2:  # a page of zeros
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        case 3:  # flipped bits in the header
            for place in rng.integers(head, size=4).tolist() if head else ():
                data[place] ^= 1 << int(rng.integers(8))
        case 4:  # an impossible number in the header
            place = int(rng.integers(0, max(head - 4, 1)))
            number = int(rng.choice(extreme))
            data[place : place + 4] = number.to_bytes(8, "little" if rng.random() < 0.5 else "big")[:4]
        case 5:  # flipped bits anywhere
            for place in rng.integers(size, size=16).tolist() if size else ():
                data[place] ^= 1 << int(rng.integers(8))
        case 6:  # something behind the end
            data += rng.bytes(int(rng.integers(1, 4096)))
        case 7:  # a part twice
            data[at:at] = data[at : at + 1024]
        case 8:  # not a sound at all
            data = bytearray(rng.bytes(at % 3000))
    return bytes(data)


def write_sounds(folder: Path, count: int, seed: int) -> list[Path]:
    """Write ``count`` files drawn from ``seed`` into ``folder``: some as libsndfile makes them, from any sound, others
    spoilt. Links, folders and other things that only look like files are among them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    return [_one(folder, number, rng) for number in range(count)]


def _one(folder: Path, number: int, rng: np.random.Generator) -> Path:
    suffix, form, subtype, most = KINDS[number % len(KINDS)]
    names = (*ODD_NAMES, *LATIN_NAMES)
    odd = names[int(rng.integers(len(names)))] if rng.random() < 0.3 else ""
    path = folder / f"{odd}{number:04d}.{suffix}"
    if number % 12 == 7:
        return _special(path, number // 12 % 5)
    rate = int(rng.choice(LOSSY_RATES.get(subtype, RATES)))
    channels = int(rng.integers(1, most + 1)) if rng.random() < 0.5 else 1
    frames = int(rng.choice([0, 1, 2, 50, rate // 10, rate // 3]))
    floating = subtype in ("FLOAT", "DOUBLE")
    kind = str(rng.choice(SPOILT if floating and frames and rng.random() < 0.4 else CONTENTS))
    soundfile.write(os.fsencode(path), sound(kind, frames, channels, rng), rate, subtype=subtype, format=form)
    if rng.random() < 0.55:
        path.write_bytes(spoil(path.read_bytes(), rng))
    return path


def _special(path: Path, kind: int) -> Path:
    """What has the name of a sound file and is none."""
    match kind:
        case 0:
            path.symlink_to(path.name)  # a loop
        case 1:
            path.symlink_to(path.with_suffix(".gone"))
        case 2:
            path.mkdir()
            (path / "loop").symlink_to(path.parent)
        case 3:
            os.mkfifo(path)
        case 4:
            path.write_bytes(b"")
    return path


@pytest.fixture(scope="session")
def make_sounds() -> MakeSounds:
    """``make_sounds(folder, count, seed)`` writes files as `write_sounds` does."""
    return write_sounds
