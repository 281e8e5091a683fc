"""Find the same recording under several names: audio files with equal samples.

If such a recording is in two sets, the second set measures what was memorised. Two files are the same recording if they
decode to the same samples at the same rate: a WAV file and its FLAC copy, a mono file and its copy in two equal
channels, a file and its copy with zeros appended. Copies that were resampled, made louder, cut, or lossily coded are
not found. Files of zeros are equal to each other but not recordings, and are ignored.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sonyc_tasks.dataset import audio
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.splits import PARTS, SensorSplit
from sonyc_tasks.threads import map_on_threads

#: Samples of each channel that are compared first; different recordings differ long before.
_HEAD = 4096
_BLOCK = 1 << 16
_SHOWN = 3


def duplicates(paths: Iterable[Path], *, workers: int | None = None) -> list[list[Path]]:
    """Group files that are the same recording.

    The beginning of every file is decoded, and files with equal beginnings to the end, so the time is linear in the
    number of files.

    Args:
        paths: Audio files. Those that cannot be decoded are in no group; reading them later gives an error.
        workers: Number of threads; by default one per core.

    Returns:
        Groups of two or more, in the order of ``paths``.
    """
    beginnings = _by_fingerprint(list(dict.fromkeys(paths)), _HEAD, workers)
    alike = [path for group in beginnings.values() if len(group) > 1 for path in group]
    whole = _by_fingerprint(alike, None, workers)
    return [group for mark, group in whole.items() if mark and len(group) > 1]


def duplicate_clips(clips: Sequence[Clip], split: SensorSplit, *, workers: int | None = None) -> list[list[Clip]]:
    """Group clips of the split's sensors that are the same recording.

    Raises:
        ValueError: A recording is in two parts of ``split``. What pretraining has seen, or chosen its best epoch by,
            must not appear in another part.
    """
    part = {sensor: name for name in PARTS for sensor in getattr(split, name)}
    of_path: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.sensor in part:
            of_path[clip.path].append(clip)
    found = duplicates(of_path, workers=workers)
    alone = [[path] for path in of_path.keys() - {path for group in found for path in group}]
    groups = [[clip for path in group for clip in of_path[path]] for group in (*found, *sorted(alone))]
    groups = [group for group in groups if len(group) > 1]
    shared = [group for group in groups if len({part[clip.sensor] for clip in group}) > 1]
    if shared:
        names = [[f"{clip.name} (sensor {clip.sensor}, {part[clip.sensor]})" for clip in group] for group in shared]
        raise ValueError(
            f"the same recording is in two parts of the sensor split: {listed(names)}; remove the wrong rows from "
            "annotations.csv, or give both sensors the same part"
        )
    return groups


def listed(groups: Sequence[Sequence[str]]) -> str:
    """List the first groups of names, and the number of the others, in words.

    >>> listed([["a.wav", "b.wav"]]), listed([["a", "b"]] * 5)
    ('a.wav = b.wav', 'a = b, a = b, a = b and 2 more')
    """
    more = f" and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    return ", ".join(" = ".join(group) for group in groups[:_SHOWN]) + more


def fingerprint(path: Path, samples: int | None = None) -> str:
    """Return a digest of a file's audio, or of its first ``samples``; empty if they are all 0, or unreadable."""
    digest, heard, silence, left = hashlib.sha256(), False, 0, samples
    if not path.is_file():  # opening a pipe would wait for ever
        return ""
    try:
        with audio.Stream(str(path)) as file:
            digest.update(b"%d" % file.samplerate)
            while len(block := file.read(_BLOCK if left is None else min(left, _BLOCK), "float32", always_2d=True)):
                left = None if left is None else left - len(block)
                sounding = np.flatnonzero(block.any(axis=1))
                if not len(sounding):
                    silence += len(block)
                    continue
                end = sounding[-1] + 1
                channels = block[:end, :1] if (block == block[:, :1]).all() else block[:end]
                digest.update(b"%d,%d," % (silence, channels.shape[1]))
                digest.update(np.add(channels, 0, dtype="<f4").tobytes())  # the sum turns -0 into 0
                heard, silence = True, len(block) - end
    except (RuntimeError, ValueError, OSError):  # libsndfile's own error is a RuntimeError
        return ""
    return digest.hexdigest() if heard else ""


def _by_fingerprint(paths: Sequence[Path], samples: int | None, workers: int | None) -> Mapping[str, list[Path]]:
    groups: dict[str, list[Path]] = defaultdict(list)
    marks = map_on_threads(lambda path: fingerprint(path, samples), paths, "comparing clips", workers)
    for path, mark in zip(paths, marks, strict=True):
        groups[mark].append(path)
    return groups
