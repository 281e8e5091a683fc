"""Build the two HEAR tasks of a data set in the layout of SONYC-UST-V2, from the clips of the probe sensors.

- ``sonyc_source-v1-full``: which of the 8 coarse classes are heard (multilabel; a clip may have none);
- ``sonyc_sensor-v1-full``: which sensor recorded the clip (multiclass). Labels are ``sensor_07``, because heareval
  would read ``07`` as the number 7 and then not find it.

Both have the same clips in the same splits, so that their scores do not differ because of the clips.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sonyc_tasks.dataset.annotations import Clip, read_clips
from sonyc_tasks.dataset.audio import duration
from sonyc_tasks.dataset.download.archives import AUDIO_SUFFIXES
from sonyc_tasks.dataset.duplicates import duplicate_clips, listed
from sonyc_tasks.dataset.splits import (
    LEAST_PROBE_CLIPS,
    SensorSplit,
    as_recordings,
    probe_split,
    published_split,
    sensor_split,
)
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.files import read_json_object
from sonyc_tasks.tasks.task_folder import Task, WriteReport, write_task

log = logging.getLogger(__name__)

SOURCE_TASK, SENSOR_TASK = "sonyc_source", "sonyc_sensor"

#: How many settings of a probe each ``--grid`` of heareval has, and how many of them it tries by default.
HEAREVAL_GRIDS = {"default": 16, "fast": 64, "faster": 64}
GRID_POINTS = 8
#: The paper's probe, a 2-layer MLP: one hidden layer, and the output. What the paper leaves open is as in heareval's
#: default grid, with the paper's learning rate for pretraining. Classes and functions are missing, as JSON cannot hold
#: them: heareval has one choice of each, except for two initialisations (Xavier uniform or normal).
PAPER_GRID: dict[str, list[Any]] = {
    "hidden_layers": [1],
    "hidden_dim": [1024],
    "dropout": [0.1],
    "norm_after_activation": [False],
    "lr": [1e-3],
    "batch_size": [1024],
    "max_epochs": [500],
    "check_val_every_n_epoch": [3],
    "patience": [20],
}


def build(  # noqa: PLR0913, the options of one command, by keyword
    root: str | Path,
    tasks_dir: str | Path,
    *,
    sample_rate: int | Sequence[int] = 44_100,
    seconds: float | None = None,
    labels: str = "majority",
    split: SensorSplit | None = None,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    train_sensors: int | None = None,
    valid_sensors: int | None = None,
    probe_sensors: int | None = None,
    min_probe_clips: int = 20,
    grid: str = "heareval",
    workers: int | None = None,
) -> list[Path]:
    """Write the two task folders of a data set.

    Clips that are the same recording (`dataset.duplicates`) stay in one set, with a warning. Another warning names
    sources that no clip of train or test has. Folders already made from the same input are kept, and so are sample
    rates that they already have.

    Args:
        root: Folder of the data set.
        tasks_dir: Folder to write the task folders into.
        sample_rate: Of the audio, in Hz; several serve models with any of them.
        seconds: Length to which every clip is cut or zero-padded; by default the most common length.
        labels: The label rule (see `dataset.annotations`).
        split: The split of the sensors; by default that of `choose_split`, with the numbers of sensors and
            ``min_probe_clips`` below.
        seed: Seed of the draw of sensors, if any, and of the probes' sets.
        fractions: Shares of the probes' train, valid and test clips.
        train_sensors, valid_sensors, probe_sensors: Numbers of sensors to draw.
        min_probe_clips: Clips that a probe sensor needs.
        grid: "heareval" leaves the settings of the probes to heareval; "paper" writes `PAPER_GRID` into the tasks,
            which overrides heareval's ``--grid``.
        workers: Number of threads; by default one per core.

    Returns:
        The folders, the source task first.

    Raises:
        ValueError: The data set, the split or the arguments do not allow it, or a recording is in both pretraining and
            the probes; nothing is half-written.
    """
    rates = (sample_rate,) if isinstance(sample_rate, int) else tuple(sample_rate)
    if not rates or min(rates) <= 0 or (seconds is not None and seconds <= 0):
        raise ValueError(
            f"sample rates of {', '.join(map(str, rates)) or 'no'} Hz and clips of {seconds} s are impossible; "
            "give positive numbers"
        )
    if grid not in ("heareval", "paper"):
        raise ValueError(f"there is no grid {grid!r}; choose from heareval, paper")
    # The sensors are split by all clips: a stricter label rule must not move a sensor of pretraining to the probes.
    clips = read_clips(root)
    if split is None:
        counts = {"train": train_sensors, "valid": valid_sensors, "probe": probe_sensors}
        split = choose_split(clips, counts, min_probe_clips=min_probe_clips, seed=seed)
    split.check(clip.sensor for clip in clips)
    same = duplicate_clips(clips, split, workers=workers)
    if labels != "majority":
        clips = read_clips(root, labels)
    probes = {clip.name: clip for clip in clips if clip.sensor in split.probe}
    groups = [[probes[clip.name] for clip in group if clip.name in probes] for group in same]
    groups = [group for group in groups if len(group) > 1]
    probe_clips = _enough_of_each(list(probes.values()), groups, split)
    _warn_of_duplicates(groups)
    sets = probe_split(probe_clips, fractions=fractions, seed=seed, duplicates=groups)
    _warn_of_sources(sets)
    sources = named(probe_clips)
    if seconds is None:
        seconds = Counter(round(duration(clip.path), 3) for clip in probe_clips).most_common(1)[0][0]

    written = []
    for task in (source_task(sets, seconds, split), sensor_task(sets, seconds, split)):
        task = with_paper_grid(task) if grid == "paper" else task
        written.append(write_task(task, sources, tasks_dir, sample_rate=rates, workers=workers))
        log.info("%s", _summary(written[-1], sets))
    return [report.folder for report in written]


def with_paper_grid(task: Task) -> Task:
    """Return ``task`` with `PAPER_GRID` as the settings of its probes."""
    return replace(task, extra={**task.extra, "evaluation_params": {"task_specific_param_grid": PAPER_GRID}})


def next_steps(folder: Path) -> str:
    """Return the launcher's two commands for a task folder of `build`, and what heareval does in each."""
    metadata = read_json_object(folder / "task_metadata.json")
    seconds, rates = metadata["sample_duration"], metadata["build"]["sample_rates"]
    clips = " or ".join(f"{embedding_batch(seconds, rate)} clips ({rate} Hz)" for rate in rates)
    if "evaluation_params" in metadata:
        points = 1
        probes = "1 probe, the paper's (--grid has no effect)"
    else:
        points = GRID_POINTS
        sizes = ", ".join(f"{grid} {size}" for grid, size in HEAREVAL_GRIDS.items())
        probes = f"{points} probes, with as many of the settings of --grid ({sizes})"
    launcher = "python -m sonyc_tasks.heareval"
    return (
        f"{folder.name}: heareval embeds {clips} at a time, then trains {probes}\n"
        f"  {launcher} embeddings hear_multiview --tasks-dir {folder.parent} --task {folder.name}\n"
        f"  {launcher} predictions embeddings/hear_multiview/{folder.name} --grid-points {points}"
    )


def embedding_batch(seconds: float | None, sample_rate: int) -> int:
    """Return how many clips of ``seconds`` at ``sample_rate`` Hz heareval embeds at a time: up to 84 s at 16 kHz.

    >>> embedding_batch(10.0, 44_100)
    3
    """
    return 1 if seconds is None else max(1, int(0.7 * (120 / seconds) * (16_000 / sample_rate)))


def choose_split(
    clips: Sequence[Clip], counts: Mapping[str, int | None], *, min_probe_clips: int = 20, seed: int = 0
) -> SensorSplit:
    """Return the published split if the data set has its sensors and no ``counts`` are given, else a random one.

    So evaluation on SONYC-UST-V2 uses sensors that published checkpoints were not trained on, and smaller or generated
    data sets work, too.
    """
    available = Counter(clip.sensor for clip in clips)
    if not any(counts.values()) and set(published_split().sensors) <= set(available):
        log.info("sensors: the published split of SONYC-UST-V2")
        return published_split()
    split = sensor_split(available, **counts, min_probe_clips=min_probe_clips, seed=seed)
    log.info("sensors: %s, with seed %d", split.rule, seed)
    return split


def source_task(sets: Mapping[str, Sequence[Clip]], seconds: float, split: SensorSplit) -> Task:
    """Return the 8-class multilabel task over ``sets`` (train, valid, test → clips of ``seconds``)."""
    # A class that no clip or every clip of a set has makes heareval's aucroc NaN, but not its mAP.
    complete = all(
        0 < sum(source in clip.sources for clip in members) < len(members)
        for members in sets.values()
        for source in COARSE
    )
    return Task(
        name=SOURCE_TASK,
        vocabulary=COARSE,
        splits={name: {wav_name(clip): list(clip.sources) for clip in members} for name, members in sets.items()},
        prediction_type="multilabel",
        evaluation=("mAP", "aucroc") if complete else ("mAP",),
        sample_duration=seconds,
        extra={"sensor_split": asdict(split)},
    )


def sensor_task(sets: Mapping[str, Sequence[Clip]], seconds: float, split: SensorSplit) -> Task:
    """Return the multiclass task over the probe sensors, on the same clips as `source_task`."""
    return Task(
        name=SENSOR_TASK,
        vocabulary=sorted({sensor_label(clip.sensor) for members in sets.values() for clip in members}),
        splits={
            name: {wav_name(clip): [sensor_label(clip.sensor)] for clip in members} for name, members in sets.items()
        },
        prediction_type="multiclass",
        evaluation=("top1_acc",),
        sample_duration=seconds,
        extra={"sensor_split": asdict(split)},
    )


def sensor_label(sensor: int) -> str:
    """Return the label of a sensor in the sensor task.

    >>> sensor_label(7)
    'sensor_07'
    """
    return f"sensor_{sensor:02d}"


def wav_name(clip: Clip) -> str:
    """Return the file name of a clip in a task folder, which has no subfolders.

    >>> wav_name(Clip("audio-0/00_000123.flac", 0, Path("00_000123.flac"), ()))
    'audio-0_00_000123.wav'
    >>> wav_name(Clip("00_000123.wav", 0, Path("00_000123.wav"), ()))
    '00_000123.wav'
    """
    path = PurePosixPath(clip.name.replace("\\", "/"))
    if path.suffix.lower() in AUDIO_SUFFIXES:
        path = path.with_suffix("")
    return "_".join(path.parts) + ".wav"


def named(clips: Sequence[Clip]) -> dict[str, Path]:
    """Return name in a task folder → audio file of each clip; ValueError if two clips would have one name."""
    named: dict[str, Clip] = {}
    for clip in clips:
        other = named.setdefault(wav_name(clip), clip)
        if other is not clip:
            raise ValueError(
                f"{other.name} and {clip.name} would both be {wav_name(clip)} in a task folder; rename one of them, in "
                "annotations.csv too"
            )
    return {name: clip.path for name, clip in named.items()}


def _enough_of_each(clips: Sequence[Clip], groups: Sequence[Sequence[Clip]], split: SensorSplit) -> list[Clip]:
    """Leave out sensors with too few clips for three sets, with a warning; each of ``groups`` counts as one clip."""
    recordings = as_recordings(clips, groups)
    per_sensor = Counter(sensor for recording in recordings for sensor in recording.sensors)
    scarce = [sensor for sensor in split.probe if per_sensor[sensor] < LEAST_PROBE_CLIPS]
    if scarce:
        warnings.warn(
            f"probe sensors {', '.join(map(str, scarce))} have fewer than {LEAST_PROBE_CLIPS} labelled clips and are "
            "left out of the tasks",
            stacklevel=3,
        )
    return [clip for clip in clips if clip.sensor not in scarce]


def _warn_of_duplicates(groups: Sequence[Sequence[Clip]]) -> None:
    if groups:
        names = listed([[clip.name for clip in group] for group in groups])
        warnings.warn(f"clips that are the same recording are kept in one set: {names}", stacklevel=3)


def _warn_of_sources(sets: Mapping[str, Sequence[Clip]]) -> None:
    """Name the sources that a score of the source task does not cover."""
    effects = {
        "test": "it is not measured and counts as 0 in heareval's mAP",
        "train": "no probe can learn it and its part of a score is chance",
    }
    for name, effect in effects.items():
        absent = [source for source in COARSE if not any(source in clip.sources for clip in sets[name])]
        if absent:
            warnings.warn(
                f"no clip of the probes' {name} set has {', '.join(absent)}, so {effect}; add clips with it, or read "
                "the scores of the other classes",
                stacklevel=3,
            )


def _summary(report: WriteReport, sets: Mapping[str, Sequence[Clip]]) -> str:
    sizes = ", ".join(f"{len(members)} {name}" for name, members in sets.items())
    done = "already there" if report.reused else "written, audio linked" if report.linked else "written"
    changed = {"trimmed": report.trimmed, "zero-padded": report.padded, "limited to full scale": report.limited}
    notes = "".join(f"; {count} {what}" for what, count in changed.items() if count)
    return f"{report.folder}: {done}; {sizes} clips{notes}"
