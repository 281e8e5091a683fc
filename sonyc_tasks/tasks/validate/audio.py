"""Check by the headers of its files that the audio of a HEAR task folder suits heareval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sonyc_tasks.dataset.audio import Header, read_header
from sonyc_tasks.dataset.duplicates import duplicates


def sample_rates(folder: Path) -> list[int]:
    """List the sample rates in Hz at which a task folder has audio."""
    return sorted(int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())


def between_splits(folder: Path, clips: Mapping[str, Iterable[str]]) -> list[list[tuple[str, str]]]:
    """Group (split, clip) of a task folder that are the same recording and in two or more splits.

    Args:
        folder: The task folder. Only its lowest sample rate is read, as the others have the same audio.
        clips: Split → clips; those without audio are skipped.
    """
    rates = sample_rates(folder)
    if not rates:
        return []
    places = {folder / str(rates[0]) / split / clip: (split, clip) for split, own in clips.items() for clip in own}
    groups = [[places[path] for path in group] for group in duplicates(filter(Path.is_file, places))]
    return [group for group in groups if len({split for split, _ in group}) > 1]


def audio_faults(
    folder: Path, clips: Mapping[str, Sequence[str]], sample_duration: float | None
) -> Iterator[tuple[str | None, str, str]]:
    """Check the ``clips`` of each split in every ``<sample rate>/<split>/``.

    With a ``sample_duration`` (seconds), heareval stacks clips into batches, so all must have the same length.

    Yields:
        Split, clip, and what is wrong and what to do; (None, "", …) for faults of the whole folder.
    """
    rates = sample_rates(folder)
    if not rates:
        yield (None, "", "no clip has audio; put it into <sample rate>/<split>/, like 44100/train/")
    for rate in rates:
        lengths: dict[tuple[str, str], int] = {}  # in samples, of the clips that have one
        for split, names in clips.items():
            for clip in names:
                shown = f"{rate}/{split}/{clip}"
                info = _info(folder / shown)
                if isinstance(info, str):
                    yield split, clip, f"{shown} {info}"
                    continue
                if info.channels != 1:
                    yield split, clip, f"{shown} has {info.channels} channels; mix it to mono"
                if info.sample_rate != rate:
                    yield split, clip, f"{shown} has {info.sample_rate} Hz; resample it to {rate} Hz"
                else:
                    lengths[split, clip] = info.frames
        if sample_duration is None or not lengths:
            continue
        usual = Counter(lengths.values()).most_common(1)[0][0]
        for (split, clip), length in lengths.items():
            if length != usual:
                yield (
                    split,
                    clip,
                    f"{rate}/{split}/{clip} has {length} samples but most clips have {usual}, which heareval cannot "
                    "batch; cut or pad it, or set sample_duration to null",
                )
        if abs(usual - sample_duration * rate) > 1:
            yield (
                None,
                "",
                f"{rate} Hz clips last {usual / rate:g} s, sample_duration is {sample_duration:g} s; make them equal",
            )


def short_clips(folder: Path, clips: Mapping[str, Sequence[str]], seconds: float) -> Iterator[tuple[str, str, float]]:
    """Yield (split, clip, duration in seconds) of ``clips`` that are shorter than ``seconds`` at any sample rate."""
    rates = sample_rates(folder)
    for split, names in clips.items():
        for clip in names:
            infos = [_info(folder / str(rate) / split / clip) for rate in rates]
            durations = [info.seconds for info in infos if not isinstance(info, str)]
            if durations and min(durations) < seconds:
                yield split, clip, min(durations)


def _info(path: Path) -> Header | str:
    """Return the header of an audio file, or what is wrong with the file."""
    if not path.is_file():
        return "is missing; add the file or remove the clip"
    if path.is_symlink():
        return "is a link, and may be any file of this computer; put the file itself there"
    try:
        info = read_header(path)
    except ValueError:
        return "cannot be decoded as audio; write it again"
    return info if info.frames else "has no samples; write it again or remove the clip"
