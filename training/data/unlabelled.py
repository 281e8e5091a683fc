"""Clips without labels to pretrain on: sensors of a generated mini-SONYC, or any recordings.

A clip's group is the sensor, or the folder that a recording lies in: recordings of one group share place and
microphone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hear_multiview.frontends.base import FrontEnd
from sonyc_tasks.dataset.annotations import Clip as SonycClip
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.dataset.audio import duration
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.sonyc import choose_split
from training.data.extraction import extract
from training.data.records import ORIGINAL, Clip, Description, Partition, some
from training.data.store import LatentStore
from training.recipes import Recipe

#: Of files in a folder of recordings, in lower case.
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64")
#: Shorter recordings are left out: two crops of 0.96 s would be the same.
SHORTEST = 1.5  # seconds


def recordings(folder: Path) -> tuple[list[Clip], dict[str, Path]]:
    """Every recording in ``folder`` and its subfolders: the clips, and the file of each by name.

    A warning names those that are too short.

    Raises:
        ValueError: there is none that is long enough, or one cannot be read.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    files = {path.relative_to(folder).as_posix(): path for path in found}
    bar = tqdm(files.items(), desc="reading lengths", unit="file", leave=False)
    short = [name for name, path in bar if duration(path) < SHORTEST]
    if len(short) == len(files):
        raise ValueError(
            f"{folder} has no recordings of {SHORTEST:g} s or more ({', '.join(SUFFIXES)}); choose another folder"
        )
    if short:
        warnings.warn(f"{len(short)} recordings of under {SHORTEST:g} s are left out: {some(short)}", stacklevel=2)
    kept = {name: path for name, path in files.items() if name not in set(short)}
    return [Clip(name, Path(name).parent.as_posix()) for name in kept], kept


def generated_streets(folder: Path, data: Mapping[str, Any], sensors: Mapping[str, int]) -> tuple[Path, SensorSplit]:
    """Generate a mini-SONYC, unless it is there; return its folder and the roles of its sensors.

    Args:
        folder: gets the subfolder ``mini-sonyc``.
        data: arguments of `synthesize`, with a seed.
        sensors: how many sensors each role has.
    """
    street = folder / "mini-sonyc"
    if not street.exists():
        synthesize(street, **data)
    return street, choose_split(read_clips(street), sensors, seed=data["seed"])


def sensor_clips(clips: Sequence[SonycClip], split: SensorSplit) -> tuple[list[Clip], dict[str, Path]]:
    """The clips of all sensors but those of the probes, without labels, and the file of each by name."""
    chosen = [clip for clip in clips if clip.sensor in (*split.train, *split.valid)]
    return [Clip(clip.name, clip.sensor) for clip in chosen], {clip.name: clip.path for clip in chosen}


def extract_clips(
    clips: Sequence[Clip],
    files: Mapping[str, Path],
    recipes: Sequence[Recipe],
    front: FrontEnd,
    path: Path,
    *,
    data: str,
) -> LatentStore:
    """Latents of ``clips`` in every rendition that one of the ``recipes`` names.

    All groups train: the recipes validate on a tenth of the clips.

    Args:
        data: the clips in words, for the cards of checkpoints.

    Raises:
        ValueError: a recipe validates on other groups, or what `extract` refuses.
    """
    for recipe in recipes:
        if recipe.validation != "clips":
            raise ValueError(f"recipe {recipe.name} validates on {recipe.validation}; make it validate on clips")
    groups = tuple(dict.fromkeys(clip.group for clip in clips))
    about = Description(
        clips=clips,
        frontend={},
        partition=Partition(train=groups),
        renditions=tuple(dict.fromkeys([ORIGINAL, *(name for recipe in recipes for name in recipe.renditions)])),
        data=data,
    )
    return extract(about, files, front, path)
