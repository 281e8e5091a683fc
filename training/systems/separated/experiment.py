"""``make separated``: a mixture and its separated sources as a whole, from a separator to tables, a figure and a page.

Streets → HEAR tasks → separator and its three states → latent store with every channel → every recipe and seed →
heareval's probes → report. Each step leaves its result in the folder and is not repeated; an interrupted command
resumes.

A seed is a whole replication: it draws the weights and crops of a run, and which clips train, validate and test the
probes. The separator is one for all seeds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import hear_multiview
from hear_multiview.frontends import load_frontend
from hear_multiview.references import mel_statistics
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.files import file_digest, read_json_object, write_json
from training.checks import size_and_seeds
from training.data.unlabelled import extract_clips, generated_streets, sensor_clips
from training.engine.pool import run_jobs
from training.engine.pretrain import CHECKPOINT, run_folder, save_untrained
from training.engine.run_folder import check_or_write_manifest
from training.probes.generated_sounds import KINDS
from training.probes.generated_tasks import GRIDS, write_all_tasks
from training.probes.rows import probe, read_scores, untrained
from training.recipes import Recipe, recipe_named
from training.systems.separated.evaluation import Separation, evaluate
from training.systems.separated.mixtures import bank
from training.systems.separated.recipes import RECIPES
from training.systems.separated.renditions import separating
from training.systems.separated.report import MEASURES, ReportInputs, write_report
from training.systems.separated.separator import MaskSeparator, load_separator
from training.systems.separated.training import JUDGED, TAKE_SECONDS, SeparatorConfig, train_separator

log = logging.getLogger(__name__)

#: Recipes by default; every other row is compared with the first, which is also what is left untrained.
ROWS = tuple(RECIPES)
FRONT_END = "log_mel_16k"


@dataclass(frozen=True)
class Scale:
    """What a size of the whole is made of.

    Attributes:
        data: arguments of `synthesize`.
        sensors: how many train and probe; those that are left would validate, and train here, too.
        rounds: of the generated scenes to tag.
        separator: how it is trained.
        judged: mixtures of `JUDGED_SECONDS` that it is judged on.
        seeds: replications.
        epochs: of every recipe; None is its own number.
    """

    data: Mapping[str, Any]
    sensors: Mapping[str, int]
    rounds: int
    separator: SeparatorConfig
    judged: int
    seeds: int
    epochs: int | None


SCALES = {
    "small": Scale(
        data={"sensors": 28, "clips_per_sensor": 24, "seconds": 3.0, "seed": 5302},
        sensors={"train": 19, "valid": 1, "probe": 8},
        rounds=12,
        separator=SeparatorConfig(steps=640, takes=24),
        judged=60,
        seeds=3,
        epochs=12,
    ),
    "full": Scale(
        data={"sensors": 99, "clips_per_sensor": 100, "seconds": 10.0, "seed": 5303},
        sensors={"train": 78, "valid": 1, "probe": 20},
        rounds=60,
        separator=SeparatorConfig(steps=24_000, takes=100, batch=16),
        judged=500,
        seeds=5,
        epochs=None,
    ),
}
#: Takes of each kind of source, and length of the mixtures, that the separator is judged on.
JUDGED_TAKES, JUDGED_SECONDS = 8, 3.0


def separated(
    folder: Path,
    scale: str = "small",
    seeds: int | None = None,
    workers: int = 1,
    *,
    recipes: Sequence[Recipe] = (),
) -> Path:
    """Do all of it in ``folder / scale``; return the page.

    Args:
        scale: of `SCALES`.
        seeds: how many replications; None is the scale's own number.
        workers: processes that train at the same time.
        recipes: what to train, at the scale's number of epochs; by default those of `ROWS`.

    Raises:
        ValueError: an unknown scale, fewer than one seed, a folder of something else, or what any step refuses.
    """
    size, count = size_and_seeds(SCALES, scale, seeds)
    folder = folder / scale
    chosen = [replace(recipe, epochs=size.epochs or recipe.epochs) for recipe in recipes or map(recipe_named, ROWS)]
    check_or_write_manifest(folder / "made-of.json", _made_of(size, chosen))

    log.info("\n[1/7] streets, generated")
    street, split = generated_streets(folder, size.data, size.sensors)
    clips, files = sensor_clips(read_clips(street), split)
    described = f"generated: {len(clips)} clips of {len(split.train) + len(split.valid)} sensors, {size.data}"

    log.info("\n[2/7] HEAR tasks, for every seed")
    front = load_frontend(FRONT_END)
    rates = sorted({front.sample_rate, mel_statistics.SAMPLE_RATE, hear_multiview.load_model().sample_rate})
    write_all_tasks("separated", folder, {"tags": size.rounds}, street, split, rates, count)

    log.info("\n[3/7] a separator, trained on mixtures of mixtures, and how well its states do")
    states = _states(folder, size)
    separations = judged(folder, states, size.judged)

    log.info(f"\n[4/7] frames of the front end {front.name}, once for each clip and channel")
    with separating(list(states.values())):
        store = extract_clips(clips, files, chosen, front, folder / "latents", data=described)

    log.info(f"\n[5/7] pretraining: {len(chosen)} recipes, {count} seed{'s' * (count > 1)}")
    run_jobs([(r, seed) for seed in range(count) for r in chosen], store.path, folder / "runs", workers=workers)
    for seed in range(count):
        trained = run_folder(folder / "runs", chosen[0], seed) / CHECKPOINT
        save_untrained(trained, untrained(folder, seed), seed=seed)

    log.info("\n[6/7] hear-eval-kit, unmodified: embeddings of every row, then probes")
    probe(folder, chosen, count)

    log.info("\n[7/7] tables, figure, page")
    scores, about = read_scores(folder, chosen, count, MEASURES), _about(described, size, count, scale)
    given = ReportInputs(chosen, scores, about, list(files.values()), states, separations)
    page, summary = write_report(folder, given)
    log.info("%s", "\n".join((summary, "", *about, "", f"Page: {page}")))
    return page


def judged(folder: Path, states: Mapping[str, MaskSeparator], mixtures: int) -> dict[str, Separation]:
    """How well each of the ``states`` does on so many mixtures, kept in ``folder/separator/judged.json``."""
    kept = folder / "separator" / "judged.json"
    if not kept.exists():
        takes = bank(JUDGED_TAKES, TAKE_SECONDS, JUDGED)
        found = {name: asdict(evaluate(state, takes, mixtures, JUDGED_SECONDS)) for name, state in states.items()}
        write_json(kept, found)
    return {name: Separation(**found) for name, found in read_json_object(kept).items()}


def _states(folder: Path, size: Scale) -> dict[str, MaskSeparator]:
    """The separator's states, trained in ``folder/separator``. The folder's channels are of these and no others."""
    paths = train_separator(folder / "separator", size.separator)
    digests = {name: file_digest(path) for name, path in paths.items()}
    check_or_write_manifest(folder / "separated-by.json", digests)
    return {name: load_separator(path)[0] for name, path in paths.items()}


def _made_of(size: Scale, recipes: Sequence[Recipe]) -> dict[str, Any]:
    """What the folder's results depend on: those of something else must not end in one table."""
    return {
        "scale": {"data": dict(size.data), "sensors": dict(size.sensors), "rounds": size.rounds, "judged": size.judged},
        "separator": asdict(size.separator),
        "recipes": {recipe.name: recipe.digest for recipe in recipes},
        "front end": FRONT_END,
        "probes": GRIDS,
    }


def _about(described: str, size: Scale, seeds: int, scale: str) -> list[str]:
    """What the numbers stand on, a sentence each."""
    return [
        "The probes are on generated audio, and so were separator and pretraining; nothing was recorded.",
        f"Pretraining: {described}.",
        f"Separator: one for all seeds, of {size.separator.steps} steps of {size.separator.batch} mixtures of mixtures "
        f"of {size.separator.seconds:g} s, judged on {size.judged} mixtures of two sources.",
        f"Tasks: {size.rounds * len(KINDS['tags'].classes)} scenes to tag, in takes that nothing was trained on, and "
        f"the clips of {size.sensors['probe']} sensors that nothing was trained on.",
        f"Scale {scale}; {seeds} seed{'s' * (seeds > 1)}, each with its own pretraining and its own division of the "
        "probes' clips; heareval's probes are 2-layer MLPs. ± is a 95 % t-interval over seeds.",
        "The claims are those of the abstract of arXiv 2105.02132, made on other data and tasks.",
    ]
