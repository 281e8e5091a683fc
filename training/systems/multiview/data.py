"""SONYC-UST-V2, or a data set in its layout, as the core's clips: a group is a sensor, labels are coarse sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hear_multiview.frontends.base import FrontEnd
from sonyc_tasks.dataset.annotations import Clip as SonycClip
from sonyc_tasks.dataset.duplicates import duplicate_clips
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.dataset.taxonomy import COARSE
from training.data.extraction import extract
from training.data.records import Clip, Description, Partition
from training.data.store import LatentStore


def extract_sensors(
    clips: Sequence[SonycClip],
    split: SensorSplit,
    frontend: FrontEnd,
    path: Path | str,
    *,
    data: str = "",
    device: str = "cpu",
    renditions: tuple[str, ...] = ("original",),
) -> LatentStore:
    """Latents of the clips of the split's train and valid sensors (see `training.data.extraction.extract`).

    Args:
        clips: of the whole data set. Those of ``split.probe`` are left alone: pretraining must never see them.
        data: the clips in words, for the card of every checkpoint trained on them.

    Raises:
        ValueError: no clips, the same recording in two parts of the split, or what `extract` refuses.
    """
    duplicate_clips(clips, split)
    chosen = [clip for clip in clips if clip.sensor in (*split.train, *split.valid)]
    if not chosen:
        raise ValueError("the data set has no clips of the split's train and valid sensors; choose another split")
    about = Description(
        clips=[Clip(clip.name, clip.sensor, {"source": clip.sources}) for clip in chosen],
        frontend={},
        partition=Partition(split.train, split.valid, split.probe),
        labels={"source": COARSE},
        renditions=renditions,
        data=data,
    )
    return extract(about, {clip.name: clip.path for clip in chosen}, frontend, path, device=device)
