"""Training audio for the codec: loudness-normalised clips in memory, and random crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hear_multiview.audio import loudness
from sonyc_tasks.dataset.audio import read_mono

#: Files with other suffixes are ignored.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
#: One file in this many is held out. These are the last by name, which in SONYC-UST's naming are whole sensors.
HELD_OUT_EVERY = 20
#: Knots of a random microphone response, in Hz, and the standard deviation of its gain there, in dB.
EQ_KNOTS, EQ_STD = (50, 150, 450, 1350, 4050, 12150, 22050), 5.0


@dataclass(frozen=True)
class Sounds:
    """Mono clips at one sample rate, each normalised to −24 LUFS (ITU-R BS.1770).

    Attributes:
        train: training clips, float32 [sample] each.
        held_out: validation clips, likewise.
    """

    train: list[Tensor]
    held_out: list[Tensor]


def load_sounds(folder: Path, sample_rate: int, crop: int) -> Sounds:
    """Read all audio files of a folder into memory, resampled and normalised (about 10 MB per minute).

    Args:
        folder: searched recursively for files with `AUDIO_SUFFIXES`.
        sample_rate: of the returned clips, in Hz.
        crop: shortest usable clip, in samples; shorter ones are skipped.

    Returns:
        The clips, with one in `HELD_OUT_EVERY` held out.

    Raises:
        ValueError: the folder is missing, fewer than two files are long enough, or a file cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give one with audio files")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    clips = []
    for file in tqdm(files, desc="reading audio", unit="clip", leave=False):
        clip = torch.from_numpy(read_mono(file, sample_rate))
        if len(clip) >= crop:
            clips.append(clip * loudness.gains(clip[None], sample_rate)[0])
    if len(clips) < 2:
        raise ValueError(
            f"{folder} has {len(clips)} audio files ({', '.join(AUDIO_SUFFIXES)}) of at least "
            f"{crop / sample_rate:.2f} s; give two or more, because one is held out"
        )
    spare = max(len(clips) // HELD_OUT_EVERY, 1)
    return Sounds(clips[:-spare], clips[-spare:])


def describe_audio(folder: Path, sounds: Sounds, sample_rate: int) -> str:
    """Describe the training data in words, for the card of what is trained on it.

    Args:
        folder: where the audio comes from.
        sounds: the clips of that folder.
        sample_rate: of ``sounds``, in Hz.

    Returns:
        The duration, and either the options of a generated data set or the folder's name.
    """
    minutes = round(sum(map(len, sounds.train)) / sample_rate / 60)
    readme = folder / "README.txt"
    if (folder / "truth.csv").exists() and readme.exists():  # as sonyc_tasks.synthesis leaves them
        options = readme.read_text().strip().rpartition("synthesize, ")[2].rstrip(".")
        return f"{minutes} minutes of generated soundscapes ({options})"
    return f"{minutes} minutes of audio ({len(sounds.train)} files of the folder {folder.resolve().name})"


def draw_crops(clips: Sequence[Tensor], count: int, samples: int, generator: torch.Generator) -> Tensor:
    """Draw crops from random positions of random clips.

    Args:
        clips: [sample] each, no shorter than a crop.
        count: number of crops.
        samples: length of a crop.
        generator: source of randomness.

    Returns:
        The crops, [crop, 1, sample].
    """
    chosen = torch.randint(len(clips), (count,), generator=generator).tolist()
    crops = []
    for index in chosen:
        start = int(torch.randint(len(clips[index]) - samples + 1, (), generator=generator))
        crops.append(clips[index][start : start + samples])
    return torch.stack(crops)[:, None]


def random_microphone_eq(crops: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Filter each crop with a random smooth frequency response, to simulate more microphones than the data has.

    The gain in dB is drawn from N(0, `EQ_STD`²) at `EQ_KNOTS` and interpolated linearly over log frequency. The filter
    has zero phase and wraps around at the ends of a crop, which is harmless for street sound. The rms stays the same.

    Args:
        crops: [crop, 1, sample].
        sample_rate: in Hz.
        generator: source of randomness.

    Returns:
        The filtered crops, [crop, 1, sample].
    """
    spectrum = torch.fft.rfft(crops)
    gain = EQ_STD * torch.randn(len(crops), len(EQ_KNOTS), generator=generator).numpy()
    frequencies = np.log(np.fft.rfftfreq(crops.shape[-1], 1 / sample_rate).clip(EQ_KNOTS[0]))
    response = np.stack([np.interp(frequencies, np.log(EQ_KNOTS), row) for row in gain])
    coloured = torch.fft.irfft(spectrum * torch.from_numpy(10 ** (response[:, None] / 20)).float(), crops.shape[-1])
    rms = [x.square().mean(-1, keepdim=True).sqrt() for x in (crops, coloured)]
    return coloured * (rms[0] / rms[1].clamp(1e-8))
