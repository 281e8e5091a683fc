"""``make sampling``: contrast at clip, frame and pitch level as a whole, from sounds to tables, a figure and a page.

Data → latent store with shifted renditions → every recipe and seed → heareval's probes on five tasks → report. Each
step leaves its result in the folder and is not repeated; an interrupted command resumes.

A seed is a whole replication: it draws the weights and crops of a run, and which clips train, validate and test the
probes. So the rows without training have several values, too, and every difference of two rows is one on the same
clips.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hear_multiview
from hear_multiview.frontends import load_frontend
from hear_multiview.references import mel_statistics
from sonyc_tasks.dataset.annotations import Clip as SonycClip
from sonyc_tasks.dataset.annotations import read_clips
from training.checks import size_and_seeds
from training.data.records import Clip
from training.data.unlabelled import extract_clips, generated_streets, recordings, sensor_clips
from training.engine.pool import run_jobs
from training.engine.pretrain import CHECKPOINT, run_folder, save_untrained
from training.engine.run_folder import check_or_write_manifest
from training.probes.generated_sounds import KINDS
from training.probes.generated_tasks import GRIDS, write_all_tasks
from training.probes.rows import probe, read_scores, submissions, untrained
from training.recipes import Recipe, recipe_named
from training.systems.sampling.recipes import ABLATION, VARIANTS
from training.systems.sampling.recorded import probe_recorded
from training.systems.sampling.report import MEASURES, ReportInputs, write_report

log = logging.getLogger(__name__)

#: Recipes by default; every other row is compared with the first, which is also what is left untrained.
ROWS = tuple(recipe.name for recipe in (*ABLATION, *VARIANTS))
FRONT_END = "log_mel_16k"


@dataclass(frozen=True)
class Scale:
    """What a size of the whole is made of.

    Attributes:
        data: arguments of `synthesize`.
        sensors: how many train and probe; those that are left would validate, and train here, too.
        rounds: of the generated sounds, by kind.
        seeds: replications.
        epochs: of every recipe; None is its own number.
    """

    data: Mapping[str, Any]
    sensors: Mapping[str, int]
    rounds: Mapping[str, int]
    seeds: int
    epochs: int | None


SCALES = {
    "small": Scale(
        data={"sensors": 32, "clips_per_sensor": 24, "seconds": 3.0, "seed": 5202},
        sensors={"train": 23, "valid": 1, "probe": 8},
        rounds={"tags": 20, "events": 25, "pitch": 25},
        seeds=3,
        epochs=20,
    ),
    "full": Scale(
        data={"sensors": 99, "clips_per_sensor": 100, "seconds": 10.0, "seed": 5203},
        sensors={"train": 78, "valid": 1, "probe": 20},
        rounds={"tags": 60, "events": 60, "pitch": 50},
        seeds=5,
        epochs=None,
    ),
}


def sampling(
    folder: Path,
    scale: str = "small",
    seeds: int | None = None,
    workers: int = 1,
    *,
    recipes: Sequence[Recipe] = (),
    frontend: str = FRONT_END,
    data: Path | None = None,
    probe_data: Path | None = None,
) -> Path:
    """Do all of it in ``folder / scale``; return the page.

    Args:
        scale: of `SCALES`.
        seeds: how many replications; None is the scale's own number.
        workers: processes that train at the same time.
        recipes: what to train, at the scale's number of epochs; by default those of `ROWS`.
        frontend: name of the front end that they stand on.
        data: folder of recordings to pretrain on; None is a generated mini-SONYC. The probes are on generated data.
        probe_data: data set in SONYC's layout, on whose source and sensor a linear probe is trained and tested, too.

    Raises:
        ValueError: an unknown scale, fewer than one seed, a folder of something else, or what any step refuses.
    """
    size, count = size_and_seeds(SCALES, scale, seeds)
    folder = folder / scale
    chosen = [replace(recipe, epochs=size.epochs or recipe.epochs) for recipe in recipes or map(recipe_named, ROWS)]

    log.info("\n[1/6] data")
    street, split = generated_streets(folder, size.data, size.sensors)
    if data is None:
        clips, files = sensor_clips(read_clips(street), split)
        described = f"generated: {len(clips)} clips of {len(split.train) + len(split.valid)} sensors, {size.data}"
    else:
        clips, files = recordings(data)
        described = f"{len(clips)} recordings in {data.resolve().name}"
    recorded = read_clips(probe_data) if probe_data else []
    _claim(folder, size, chosen, frontend, clips, recorded)
    log.info("  pretraining: %s", described)

    log.info("\n[2/6] HEAR tasks, for every seed")
    front = load_frontend(frontend)
    rates = sorted({front.sample_rate, mel_statistics.SAMPLE_RATE, hear_multiview.load_model().sample_rate})
    write_all_tasks("sampling", folder, size.rounds, street, split, rates, count)

    log.info(f"\n[3/6] frames of the front end {front.name}, once for each clip and rendition")
    store = extract_clips(clips, files, chosen, front, folder / "latents", data=described)

    log.info(f"\n[4/6] pretraining: {len(chosen)} recipes, {count} seed{'s' * (count > 1)}")
    run_jobs([(r, seed) for seed in range(count) for r in chosen], store.path, folder / "runs", workers=workers)
    for seed in range(count):
        trained = run_folder(folder / "runs", chosen[0], seed) / CHECKPOINT
        save_untrained(trained, untrained(folder, seed), seed=seed)

    log.info("\n[5/6] hear-eval-kit, unmodified: embeddings of every row, then probes")
    probe(folder, chosen, count)

    scores = read_scores(folder, chosen, count, MEASURES)
    if recorded:
        log.info("  a linear probe of %d recorded clips", len(recorded))
        for seed in range(count):
            rows = submissions(folder, chosen, seed)
            for row, own in probe_recorded(recorded, rows, folder / f"seed{seed}" / "recorded", frontend, seed).items():
                for measure, score in own.items():
                    scores[row].setdefault(measure, {})[seed] = score

    log.info("\n[6/6] tables, figure, page")
    about = _about(described, size, count, scale, given=data is not None)
    if recorded:
        about.append(
            f"Recorded: {len(recorded)} clips of {len({clip.sensor for clip in recorded})} sensors; logistic "
            "regression on mean and deviation of the frames, in 5 folds drawn anew for every seed."
        )
    page, summary = write_report(folder, ReportInputs(chosen, scores, about, list(files.values())))
    log.info("%s", "\n".join((summary, "", *about, "", f"Page: {page}")))
    return page


def _claim(
    folder: Path,
    size: Scale,
    recipes: Sequence[Recipe],
    frontend: str,
    clips: Sequence[Clip],
    recorded: Sequence[SonycClip],
) -> None:
    """Make ``folder`` that of these clips, recipes and sizes: results of others must not end in one table."""
    listed = json.dumps([[clip.name, clip.group] for clip in clips])
    probed = json.dumps([[clip.name, clip.sensor, clip.sources] for clip in recorded])
    made_of = {
        "scale": {"data": dict(size.data), "sensors": dict(size.sensors), "rounds": dict(size.rounds)},
        "recipes": {recipe.name: recipe.digest for recipe in recipes},
        "front end": frontend,
        "data": hashlib.sha256(listed.encode()).hexdigest(),
        "probes": GRIDS,
        "probed data set": hashlib.sha256(probed.encode()).hexdigest() if recorded else None,
    }
    check_or_write_manifest(folder / "made-of.json", made_of)


def _about(described: str, size: Scale, seeds: int, scale: str, *, given: bool) -> list[str]:
    """What the numbers stand on, a sentence each."""
    counts = {kind: rounds * len(KINDS[kind].classes) for kind, rounds in size.rounds.items()}
    return [
        "The sounds and streets of the tasks are generated"
        + ("." if given else ", and so are those of the pretraining."),
        f"Pretraining: {described}.",
        f"Tasks: {counts['tags']} scenes to tag, {counts['events']} clips with events, {counts['pitch']} notes, in "
        f"takes that nothing was trained on, and the clips of {size.sensors['probe']} sensors that nothing was trained "
        f"on; two fifths of the sounds and a fifth of the sensors' clips are the test.",
        f"Scale {scale}; {seeds} seed{'s' * (seeds > 1)}, each with its own pretraining and its own division of the "
        "probes' clips; heareval's probes are 2-layer MLPs. ± is a 95 % t-interval over seeds.",
        "Published gains are those of arXiv 2505.18984, on other data and tasks; they are not comparable in size.",
    ]
