"""Fill a latent store: every clip once through the frozen front end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from warnings import warn

import numpy as np
import torch
from tqdm import tqdm

from hear_multiview.frontends import FrontEnd
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.audio import duration, read_mono
from sonyc_tasks.dataset.duplicates import duplicate_clips
from sonyc_tasks.dataset.splits import SensorSplit
from training.data.prefetch import ahead
from training.data.store import LatentStore, StoredClip, some
from training.engine.distributed import count, index, main, main_first, wait


def describe(frontend: FrontEnd) -> dict[str, object]:
    """What a store and a checkpoint remember of the front end that they stand on."""
    return {
        "name": frontend.name,
        "sha256": frontend.digest,
        "dim": frontend.dim,
        "hop": frontend.hop,
        "sample_rate": frontend.sample_rate,
        "precision": frontend.precision,
    }


def extract(
    clips: Sequence[Clip],
    split: SensorSplit,
    frontend: FrontEnd,
    path: Path | str,
    *,
    data: str = "",
    device: str = "cpu",
) -> LatentStore:
    """Latents of the pretraining clips in the store at ``path``, computing only those that it does not hold yet.

    Processes that were launched together divide these, and each comes back when the store is whole. A warning names the
    clips that the store held before and has lost a part of.

    Args:
        clips: of the whole data set. Those of ``split.probe`` are left alone: pretraining must never see them.
        data: what the clips are, in words, for the card of every checkpoint trained on them.

    Raises:
        ValueError: no clips; audio that cannot be read; a store at ``path`` for other clips or another front end; the
            same recording in two parts of the split.
    """
    duplicate_clips(clips, split)
    clips = [clip for clip in clips if clip.sensor in (*split.train, *split.valid)]
    if not clips:
        raise ValueError("the data set has no clips of the split's train and valid sensors")
    seconds = [duration(clip.path) for clip in tqdm(clips, desc="reading lengths", unit="clip", leave=False)]
    frontend.to(device)
    stored = [StoredClip(clip.name, clip.sensor, clip.sources) for clip in clips]
    with main_first():
        longest = _room(path, clips[max(range(len(clips)), key=seconds.__getitem__)], frontend, device)
        store = LatentStore.create(path, stored, describe(frontend), longest, split, data)
    if store.lost and main():
        warn(
            f"the latent store {path} has lost a part of {len(store.lost)} of its {len(stored)} clips "
            f"({some(stored[clip].name for clip in store.lost)}): they are computed again",
            stacklevel=2,
        )
    if missing := store.missing(index(), count()):
        decoded = ahead(read_mono(clips[clip].path, frontend.sample_rate) for clip in missing)
        for clip, sound in zip(tqdm(missing, desc=f"latents ({frontend.name})", unit="clip"), decoded, strict=True):
            with _naming(clips[clip]):
                frames = _frames(frontend, sound, device)
            store.write(clip, frames[:longest])
    wait()
    store = LatentStore(path)
    store.require()
    return store


def _room(path: Path | str, longest: Clip, frontend: FrontEnd, device: str) -> int:
    """The most frames that a clip of the store at ``path`` may have: in a new one those of the ``longest`` clip, which
    only the front end can tell."""
    try:
        return LatentStore(path).room
    except FileNotFoundError:
        with _naming(longest):
            return len(_frames(frontend, read_mono(longest.path, frontend.sample_rate), device))


def _frames(frontend: FrontEnd, sound: np.ndarray, device: str) -> np.ndarray:
    """All frames of ``sound`` [sample], float32 [frame, dim]."""
    audio = torch.from_numpy(sound)[None].to(device)
    with torch.no_grad():
        return torch.cat([frames[0].cpu() for frames, _ in frontend.stream(audio)]).numpy()


@contextmanager
def _naming(clip: Clip) -> Iterator[None]:
    """A ValueError of the front end says of which clip it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"clip {clip.name}: {error}") from error
