"""Fill a latent store: every rendition of every clip once through the frozen front end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from warnings import warn

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hear_multiview.frontends.base import FrontEnd
from sonyc_tasks.dataset.audio import duration, read_mono
from training.data.prefetch import prefetch
from training.data.records import Description, some
from training.data.renditions import maker
from training.data.store import LatentStore, held_store
from training.distributed import barrier, is_main, main_process_first, rank, world_size


def frontend_record(frontend: FrontEnd) -> dict[str, object]:
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
    about: Description, audio: Mapping[str, Path], frontend: FrontEnd, path: Path | str, *, device: str = "cpu"
) -> LatentStore:
    """The store at ``path`` with the frames of every clip and rendition of ``about``; only what it lacks is computed.

    Processes that were launched together divide the work, and each returns when the store is complete. Another command
    for the same store waits. A warning names clips that the store once held and has partly lost.

    Args:
        about: clips, partition, labels and renditions; its ``frontend`` is set here.
        audio: the file of each clip, by name.
        path: folder or address of the store.

    Raises:
        ValueError: there are no clips, audio cannot be read, or the store is for other clips or another front end.
    """
    if not about.clips:
        raise ValueError("there are no clips to extract latents of; choose another split or data set")
    for name in about.renditions:
        maker(name)  # says what is wrong with it, before anything is read
    frontend.to(device)
    about = Description(**{**vars(about), "frontend": frontend_record(frontend)})
    with held_store(path) if is_main() else nullcontext():
        return _filled(about, audio, frontend, path, device)


def _filled(
    about: Description, audio: Mapping[str, Path], frontend: FrontEnd, path: Path | str, device: str
) -> LatentStore:
    """`extract`, by the only command that writes to the store."""
    with main_process_first():
        store = LatentStore.create(path, about, _most_frames(about, audio, frontend, device))
    missing = {name: _missing(store, name) for name in about.renditions}
    # All renditions of a clip one after another: it is decoded once, and a maker may keep what they have in common.
    wanted = [(c, name) for c in sorted(set().union(*missing.values())) for name in missing if c in missing[name]]
    bar = tqdm(wanted, desc=f"latents ({frontend.name})", unit="clip", disable=not is_main() or not wanted)
    decoded = prefetch(_rendered(wanted, about, audio, frontend.sample_rate))
    for (clip, name), sound in zip(bar, decoded, strict=True):
        arrays = store.renditions[name]
        with _naming(about.clips[clip].name):
            arrays.write(clip, frames_of(frontend, torch.from_numpy(sound), device).numpy()[: arrays.longest])
    barrier()
    store = LatentStore(path)
    store.require(renditions=about.renditions)
    return store


def _missing(store: LatentStore, rendition: str) -> set[int]:
    """The clips that this process is to compute in a ``rendition``; a warning names those that were lost."""
    arrays = store.renditions[rendition]
    if arrays.lost and is_main():
        lost = some(store.clips[clip].name for clip in arrays.lost)
        warn(
            f"{arrays.path} has lost a part of {len(arrays.lost)} of its {len(store.clips)} clips ({lost}), which "
            "are computed again",
            stacklevel=3,
        )
    return set(arrays.missing(rank(), world_size()))


def _rendered(
    wanted: Sequence[tuple[int, str]], about: Description, audio: Mapping[str, Path], sample_rate: int
) -> Iterator[np.ndarray]:
    """The waveform [sample] of every (clip, rendition) of ``wanted``."""
    makers = {name: maker(name) for name in about.renditions}
    for clip, of_clip in groupby(wanted, key=itemgetter(0)):
        sound = read_mono(audio[about.clips[clip].name], sample_rate)
        yield from (makers[name](sound, sample_rate) for _, name in of_clip)


def frames_of(frontend: FrontEnd, audio: Tensor, device: str = "cpu") -> Tensor:
    """All frames of ``audio`` [sample] as float32 [frame, dim] on the CPU."""
    with torch.no_grad():
        return torch.cat([frames[0].cpu() for frames, _ in frontend.stream(audio[None].to(device))])


def _most_frames(
    about: Description, audio: Mapping[str, Path], frontend: FrontEnd, device: str
) -> Callable[[str], int]:
    """What finds the most frames of a clip in a rendition: those of the longest clip, which the front end computes."""

    @cache
    def longest() -> str:
        names = [clip.name for clip in about.clips]
        bar = tqdm(names, desc="reading lengths", unit="clip", leave=False, disable=not is_main())
        seconds = [duration(audio[name]) for name in bar]
        return names[max(range(len(names)), key=seconds.__getitem__)]

    def frames(rendition: str) -> int:
        with _naming(longest()):
            sound = maker(rendition)(read_mono(audio[longest()], frontend.sample_rate), frontend.sample_rate)
            return len(frames_of(frontend, torch.from_numpy(sound), device))

    return frames


@contextmanager
def _naming(clip: str) -> Iterator[None]:
    """A ValueError inside says which ``clip`` it is of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"clip {clip}: {error}") from error
