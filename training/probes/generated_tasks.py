"""The generated sounds as HEAR tasks of a system, such as ``sampling_tags`` or ``separated_tags``.

Which rounds of the clips train, validate and test the probes depends on a seed, so that every seed is a replication of
its own. Every set has every class.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.tasks.sonyc import PAPER_GRID, SENSOR_TASK, SOURCE_TASK, build
from sonyc_tasks.tasks.task_folder import Task, write_task
from training.probes.generated_sounds import KINDS, Labels, generate

log = logging.getLogger(__name__)

#: Shares of the rounds that validate and that test.
VALID, TEST = 0.2, 0.4
#: The probe's settings by kind of sounds, the paper's 2-layer MLP. That of events trains on frames, of which there are
#: 50 to 350 a clip, so that it needs fewer epochs. heareval stops an event probe that has found nothing by its first
#: validation, which is meaningless; so that comes late, after hundreds of smaller steps.
GRIDS = {
    "tags": PAPER_GRID,
    "events": {
        **PAPER_GRID,
        "batch_size": [256],
        "max_epochs": [60],
        "check_val_every_n_epoch": [20],
        "patience": [2],
    },
    "pitch": PAPER_GRID,
}
#: By kind of sounds: embedding type, prediction type, and scores of heareval.
_FORMS = {
    "tags": ("scene", "multilabel", ("mAP",)),
    "events": ("event", "multilabel", ("event_onset_200ms_fms", "segment_1s_er")),
    "pitch": ("scene", "multiclass", ("pitch_acc", "chroma_acc")),
}


@dataclass(frozen=True)
class Measure:
    """One column of the tables.

    Attributes:
        task: name of the HEAR task.
        score: heareval's name of the score.
        title: printed name.
    """

    task: str
    score: str
    title: str


def measures(system: str, kinds: Iterable[str]) -> dict[str, Measure]:
    """The columns of a system's tables: scores on the tasks of ``kinds`` of sounds, then on streets.

    Every score is from 0 to 1, and larger is better but for the sensor, where it says what an embedding tells about it.
    """
    of_sounds = {
        "tags": Measure(f"{system}_tags", "mAP", "tags (mAP)"),
        "events": Measure(f"{system}_events", "event_onset_200ms_fms", "events (onset F)"),
        "pitch": Measure(f"{system}_pitch", "pitch_acc", "pitch (acc.)"),
        "chroma": Measure(f"{system}_pitch", "chroma_acc", "chroma (acc.)"),
    }
    wanted = {f"{system}_{kind}" for kind in kinds}
    return {
        **{name: measure for name, measure in of_sounds.items() if measure.task in wanted},
        "source": Measure(SOURCE_TASK, "mAP", "source (mAP)"),
        "sensor": Measure(SENSOR_TASK, "top1_acc", "sensor (acc.)"),
    }


def task(system: str, kind: str, labels: Mapping[str, Labels], seed: int) -> Task:
    """The HEAR task ``<system>_<kind>`` of the clips of a ``kind``, name → labels, with the sets of ``seed``.

    Raises:
        ValueError: there are fewer than three rounds.
    """
    of = KINDS[kind]
    names = list(labels)
    rounds = len(names) // len(of.classes)
    if rounds < 3:
        raise ValueError(f"{rounds} rounds of {kind} do not make three sets; generate 3 or more")
    drawn = np.random.default_rng((seed, list(KINDS).index(kind))).permutation(rounds).tolist()
    valid, test = (max(1, round(share * rounds)) for share in (VALID, TEST))
    places = {"train": drawn[valid + test :], "valid": drawn[:valid], "test": drawn[valid : valid + test]}
    embedding, prediction, scores = _FORMS[kind]
    splits = {
        name: {clip: labels[clip] for k in sorted(own) for clip in names[k * len(of.classes) :][: len(of.classes)]}
        for name, own in places.items()
    }
    return Task(
        name=f"{system}_{kind}",
        vocabulary=of.classes,
        splits=splits,
        prediction_type=prediction,
        evaluation=scores,
        sample_duration=of.seconds,
        embedding_type=embedding,
    )


def write_tasks(
    system: str, sounds: Mapping[str, tuple[Path, Mapping[str, Labels]]], out: Path, rates: Sequence[int], seed: int
) -> None:
    """Write the tasks of all ``sounds``, kind → (folder, name → labels), into ``out``, with the probes of `GRIDS`."""
    for kind, (folder, labels) in sounds.items():
        files = {name: folder / name for name in labels}
        extra = {"evaluation_params": {"task_specific_param_grid": GRIDS[kind]}}
        write_task(replace(task(system, kind, labels, seed), extra=extra), files, out, sample_rate=rates)


def write_all_tasks(
    system: str,
    folder: Path,
    rounds: Mapping[str, int],
    street: Path,
    split: SensorSplit,
    rates: Sequence[int],
    seeds: int,
) -> None:
    """Tasks of generated sounds and two of SONYC's kind, for every seed in ``folder/seed<k>/tasks``.

    Args:
        system: whose tasks they are; part of their names.
        folder: of the results. The sounds go to its subfolder ``sounds``.
        rounds: of each kind of sounds.
        street: data set in SONYC's layout.
        split: which of its sensors probe.
        rates: sample rates in Hz.
        seeds: how many.
    """
    made = {}
    for kind, number in rounds.items():
        place = folder / "sounds" / kind
        made[kind] = place, generate(place, kind, number)
    for seed in range(seeds):
        out = folder / f"seed{seed}" / "tasks"
        write_tasks(system, made, out, rates, seed)
        build(street, out, sample_rate=rates, split=split, seed=seed, grid="paper")
    log.info("  %s and so on", folder / "seed0" / "tasks")
