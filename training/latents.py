"""Fill a latent store: every clip once through the frozen front end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from tqdm import tqdm

from hear_multiview.frontends import FrontEnd
from sonyc_tasks.annotations import Clip
from sonyc_tasks.audio import read_mono
from training.store import LatentStore, StoredClip


def describe(frontend: FrontEnd) -> dict[str, object]:
    """What a store and a checkpoint remember of the front end that they stand on."""
    return {
        "name": frontend.name,
        "sha256": frontend.digest,
        "dim": frontend.dim,
        "hop": frontend.hop,
        "sample_rate": frontend.sample_rate,
    }


def extract(clips: Sequence[Clip], frontend: FrontEnd, path: Path, device: str = "cpu") -> LatentStore:
    """Latents of ``clips`` in the store at ``path``, computing only those that it does not hold yet.

    Raises:
        ValueError: no clips; audio that cannot be read; a store at ``path`` for other clips or another front end.
    """
    if not clips:
        raise ValueError("there are no clips to compute latents of")
    longest = max(math.ceil(_seconds(clip.path) * frontend.sample_rate / frontend.hop) for clip in clips)
    store = LatentStore.create(path, [StoredClip(c.name, c.sensor) for c in clips], describe(frontend), longest)
    frontend = frontend.to(device)
    for index in tqdm(store.missing(), desc=f"latents ({frontend.name})", unit="clip"):
        audio = torch.from_numpy(read_mono(clips[index].path, frontend.sample_rate))[None].to(device)
        with torch.no_grad():
            frames = torch.cat([piece[0].cpu() for piece in frontend.stream(audio)])
        store.write(index, frames.numpy()[:longest])
    return store


def _seconds(path: Path) -> float:
    try:
        return soundfile.info(str(path)).duration
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path} is missing or not readable as audio ({error})") from error
