"""Check the audio of a HEAR task folder against what heareval needs of it, from the headers of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sonyc_tasks.dataset.audio import Header, read_header


def audio_faults(
    folder: Path, clips: Mapping[str, Sequence[str]], sample_duration: float | None
) -> Iterator[tuple[str | None, str, str]]:
    """(split, clip, what is wrong and what to do) for the ``clips`` of each split, in every ``<sample rate>/<split>/``.

    With a ``sample_duration`` (seconds), heareval stacks clips into batches as they are, so all must have one length.
    A fault of the folder as a whole has no split and clip: (None, "", …).
    """
    rates = sorted(int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())
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
                    f"{rate}/{split}/{clip} has {length} samples and most clips have {usual}, which heareval cannot "
                    "batch; cut or pad it, or set sample_duration to null",
                )
        if abs(usual - sample_duration * rate) > 1:
            yield (
                None,
                "",
                f"{rate} Hz clips last {usual / rate:g} s, sample_duration is {sample_duration:g} s; make them agree",
            )


def short_clips(folder: Path, clips: Mapping[str, Sequence[str]], seconds: float) -> Iterator[tuple[str, str, float]]:
    """(split, clip, its duration in seconds) of the ``clips`` that are shorter than ``seconds``, at any sample rate."""
    rates = sorted(int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())
    for split, names in clips.items():
        for clip in names:
            infos = [_info(folder / str(rate) / split / clip) for rate in rates]
            durations = [info.seconds for info in infos if not isinstance(info, str)]
            if durations and min(durations) < seconds:
                yield split, clip, min(durations)


def _info(path: Path) -> Header | str:
    """The header of an audio file, or what is wrong with the file."""
    if not path.is_file():
        return "is missing; add the file or remove the clip"
    try:
        info = read_header(path)
    except ValueError:
        return "cannot be decoded as audio; write it again"
    return info if info.frames else "holds no samples; write it again or remove the clip"
