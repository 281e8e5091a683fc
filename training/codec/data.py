"""Audio for the codec's training: clips in memory as the front end hears them, and crops of them drawn by step."""

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

#: File endings that are read from a folder.
ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
#: One file in so many is held out; they are the last by name, so that in SONYC-UST's naming whole sensors are.
HELD_OUT = 20
#: Knots of a random microphone's response, in Hz, and the standard deviation of its gain there, in dB.
KNOTS, UNEVEN = (50, 150, 450, 1350, 4050, 12150, 22050), 5.0


@dataclass(frozen=True)
class Sounds:
    """Mono clips at one sample rate, each at −24 LUFS as `audio.loudness` brings it there: [sample] each."""

    train: list[Tensor]
    held_out: list[Tensor]


def load_sounds(folder: Path, sample_rate: int, crop: int) -> Sounds:
    """Every audio file under ``folder``, resampled and normalised, in memory (about 10 MB a minute).

    Args:
        crop: samples that a clip has to have; shorter ones are left out.

    Raises:
        ValueError: no such folder, fewer than two long enough files, or one that cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}: name one that holds audio files")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    clips = []
    for file in tqdm(files, desc="reading audio", unit="clip", leave=False):
        clip = torch.from_numpy(read_mono(file, sample_rate))
        if len(clip) >= crop:
            clips.append(clip * loudness.gains(clip[None], sample_rate)[0])
    if len(clips) < 2:
        raise ValueError(
            f"{folder} holds {len(clips)} audio files ({', '.join(ENDINGS)}) of at least {crop / sample_rate:.2f} s: "
            "training a codec takes two, one of them held out"
        )
    spare = max(len(clips) // HELD_OUT, 1)
    return Sounds(clips[:-spare], clips[-spare:])


def describe_audio(folder: Path, sounds: Sounds, sample_rate: int) -> str:
    """What ``sounds`` of ``folder`` are, in words, for whoever uses what was trained on them."""
    minutes = round(sum(map(len, sounds.train)) / sample_rate / 60)
    readme = folder / "README.txt"
    if (folder / "truth.csv").exists() and readme.exists():  # as sonyc_tasks.synthesis leaves them
        options = readme.read_text().strip().rpartition("synthesize, ")[2].rstrip(".")
        return f"{minutes} minutes of generated soundscapes ({options})"
    return f"{minutes} minutes of audio ({len(sounds.train)} files of the folder {folder.resolve().name})"


def draw_crops(clips: Sequence[Tensor], count: int, samples: int, generator: torch.Generator) -> Tensor:
    """``count`` crops from random places of random ``clips``: [crop, 1, sample]."""
    chosen = torch.randint(len(clips), (count,), generator=generator).tolist()
    crops = []
    for index in chosen:
        start = int(torch.randint(len(clips[index]) - samples + 1, (), generator=generator))
        crops.append(clips[index][start : start + samples])
    return torch.stack(crops)[:, None]


def random_microphone_eq(crops: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
    """``crops`` [crop, 1, sample], each through a random smooth response that keeps its level: more sensors than the
    data has. The filter has zero phase and wraps around the crop's ends, which does no harm to street sound."""
    spectrum = torch.fft.rfft(crops)
    gain = UNEVEN * torch.randn(len(crops), len(KNOTS), generator=generator).numpy()
    frequencies = np.log(np.fft.rfftfreq(crops.shape[-1], 1 / sample_rate).clip(KNOTS[0]))
    response = np.stack([np.interp(frequencies, np.log(KNOTS), row) for row in gain])
    coloured = torch.fft.irfft(spectrum * torch.from_numpy(10 ** (response[:, None] / 20)).float(), crops.shape[-1])
    rms = [x.square().mean(-1, keepdim=True).sqrt() for x in (crops, coloured)]
    return coloured * (rms[0] / rms[1].clamp(1e-8))
