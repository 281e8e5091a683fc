"""``make paper``: reproduce every row of the paper's tables and Figure 2 with one resumable command.

Data → HEAR tasks, latents → every recipe × seed → checkpoints → heareval's probes → tables, figures, a page. Each step
writes its result to the folder, whole or not at all. If the command is interrupted at any time, running it again
resumes, and ends with the same numbers.

A seed is a complete replication on one split of the sensors: it determines the pairs, weights and batches of a run, and
the division of the probe sensors' clips into train, valid and test. Therefore rows without training also have one value
per seed, and two rows with the same seed are compared on the same clips.

Processes that were launched together share the clips of step 3 and the runs of step 4; the main process does everything
else. They need a common file system.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.base import FrontEnd
from hear_multiview.frontends.dac import weights as codec_weights
from hear_multiview.references import mel_statistics
from sonyc_tasks.dataset.annotations import Clip, read_clips
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.files import write_atomic
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.sonyc import PAPER_GRID, build, choose_split
from training.data.batches import draw_examples
from training.data.store import LatentStore
from training.distributed import barrier, is_main, main_process_first, rank, world_size
from training.engine.history import read_history
from training.engine.pool import epochs_done, run_jobs
from training.engine.pretrain import run_folder
from training.engine.run_folder import check_or_write_manifest
from training.probes import heareval_jobs
from training.probes.heareval_jobs import Submission
from training.recipes import Recipe
from training.systems.multiview.data import extract_sensors
from training.systems.multiview.methods import METHODS
from training.systems.multiview.recipes import BEST, PAPER_RECIPES, small
from training.systems.multiview.report import ResultInputs, write_results
from training.systems.multiview.rows import FRONT_END, LOG_MEL

log = logging.getLogger(__name__)

#: Data to generate if none is given. No other part of the project uses this seed.
DATA: dict[str, Any] = {"sensors": 44, "clips_per_sensor": 24, "seconds": 5.0, "seed": 3001}
#: Split of the generated sensors; given data is split in the proportions of the paper.
SENSORS = {"train": 27, "valid": 5, "probe": 12}


@dataclass(frozen=True)
class Scale:
    """The size of an experiment.

    Attributes:
        recipe: changes a recipe of the paper to this size.
        frontend: name of the front end.
    """

    recipe: Callable[[Recipe], Recipe]
    frontend: str


#: ``full`` is the paper's own size and codec.
SCALES = {"small": Scale(small, "demo"), "full": Scale(lambda recipe: recipe, "dac_44khz")}


def paper(  # noqa: PLR0913, the options of one command, by keyword
    folder: Path,
    data: Path | None = None,
    *,
    seeds: int = 3,
    recipes: Sequence[str] | None = None,
    scale: str = "small",
    split: SensorSplit | None = None,
    frontend: str | None = None,
    frontend_weights: Path | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    workers: int = 1,
) -> Path:
    """Run the whole experiment, or resume it.

    Args:
        folder: working folder.
        data: a data set in the layout of SONYC-UST-V2; None generates a mini-SONYC into ``folder``.
        seeds: number of replications. A later call with more seeds adds to the existing ones.
        recipes: names of those to train and report; None means all of the paper. A later call with others adds to the
            existing ones.
        scale: a key of `SCALES`.
        split: roles of the sensors; None means the published split, or a random one for another data set.
        frontend: name of a front end for `load_frontend`, which can be any HEAR module; None means the scale's.
        frontend_weights: its weight file; None means the front end's own.
        device: where to compute latents and train.
        precision: of training, see `training.engine.precision`.
        workers: number of training processes, per launched process.

    Returns:
        Path of the HTML page with the results.

    Raises:
        ValueError: the scale or a recipe is unknown, there are no recipes or seeds, the folder is of another
            experiment, or a step fails.
    """
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; choose {' or '.join(SCALES)}")
    if seeds < 1:
        raise ValueError(f"{seeds} seeds give no results; use 1 or more")
    size = SCALES[scale]
    every = [size.recipe(recipe) for recipe in PAPER_RECIPES.values()]
    chosen = every if recipes is None else named(recipes, every)

    log.info("\n[1/6] data")
    counts: Mapping[str, int] = {}
    if data is None:
        data, counts = folder / "mini-sonyc", SENSORS
        with main_process_first():
            if not data.exists():
                synthesize(data, **DATA)
    generated = (data / "truth.csv").exists()  # written only by `sonyc_tasks.synthesis`
    clips = read_clips(data)
    split = split or choose_split(clips, counts, seed=DATA["seed"])
    split.check(clip.sensor for clip in clips)
    with main_process_first():
        _claim(folder, clips, split, scale, every)
    sensors = ", ".join(f"{len(getattr(split, part))} {part}" for part in ("train", "valid", "probe"))
    log.info("  %d clips in %s; sensors: %s", len(clips), data, sensors)

    front = load_frontend(frontend or size.frontend, frontend_weights)
    rates = sorted({front.sample_rate, mel_statistics.SAMPLE_RATE})
    log.info("\n[2/6] HEAR tasks on the probe sensors, for every seed")
    for seed in range(seeds) if is_main() else ():
        build(data, folder / f"seed{seed}" / "tasks", sample_rate=rates, split=split, seed=seed, grid="paper")
    log.info("  %s, …", folder / "seed0" / "tasks")

    log.info("\n[3/6] latents of every clip, front end %s", front.name)
    store = extract_sensors(clips, split, front, folder / "latents", data=_described(data, generated), device=device)
    draw_examples(store, chosen[0], 0)  # raises if the split cannot be trained on

    overview = _Overview(folder, chosen, seeds)
    log.info("\n[4/6] pretraining: %d recipes, %d seeds; progress in %s", len(chosen), seeds, overview.path)
    _pretrain(store, overview, device=device, precision=precision, workers=workers)
    barrier()
    if not is_main():
        return folder / "page.html"

    log.info("\n[5/6] unmodified hear-eval-kit: embeddings of every view, then probes")
    for seed in range(seeds):
        log.info("  seed %d, %d of %d", seed, seed + 1, seeds)
        place = folder / f"seed{seed}"
        rows = submissions(folder, chosen, seed, front, frontend_weights)
        heareval_jobs.run_embeddings(place, rows, folder / "frames")
        overview.write(None)
        heareval_jobs.run_predictions(place)
        overview.write(None)

    log.info("\n[6/6] tables, figures, page")
    about = _about(store, front, split, seeds, scale, generated)
    histories = _histories(folder, chosen, seeds)
    page, summary = write_results(folder, ResultInputs(chosen, seeds, front.name, about, BEST.name, histories))
    log.info("%s", "\n".join((summary, "", *about, "", f"Page: {page}")))
    return page


def named(names: Sequence[str], recipes: Sequence[Recipe]) -> list[Recipe]:
    """The ``recipes`` of these names, each once and in their own order.

    Raises:
        ValueError: there are no names, or none of the recipes has one of them.
    """
    known = [recipe.name for recipe in recipes]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"unknown recipes {', '.join(map(repr, unknown))}; choose from {', '.join(known)}")
    if not names:
        raise ValueError(f"0 recipes give no results; choose from {', '.join(known)}")
    return [recipe for recipe in recipes if recipe.name in names]


def _pretrain(store: LatentStore, overview: _Overview, **machine: Any) -> None:
    """This process's share of all runs; the main process writes the ``overview`` as they go on."""
    jobs = [(recipe, seed) for seed in range(overview.seeds) for recipe in overview.recipes][rank() :: world_size()]
    progress = overview.write if is_main() else lambda _: None
    run_jobs(jobs, store.path, overview.folder / "runs", on_progress=progress, **machine)


def submissions(
    folder: Path, recipes: Sequence[Recipe], seed: int, front: FrontEnd, weights: Path | None
) -> Sequence[Submission]:
    """List what heareval embeds for one seed. The front end is first and fills the frame cache for the others.

    Args:
        folder: working folder.
        recipes: recipes whose runs are embedded.
        seed: the replication.
        front: the front end.
        weights: its weight file; None means its own.

    Returns:
        The front end, the log-mel reference, then each run with each of its views.
    """
    with_weights = {} if weights is None else {"frontend_weights": str(weights.resolve())}
    rows = [
        Submission(options={"view": "frontend", "frontend": front.name, **with_weights}, label=FRONT_END),
        Submission("hear_multiview.references.mel_statistics", label=LOG_MEL),
    ]
    for recipe in recipes:
        checkpoint = run_folder(folder / "runs", recipe, seed) / "checkpoint.safetensors"
        for view in ("joint", "private", "shared") if METHODS[recipe.method].disentangled else ("joint",):
            rows.append(Submission(model=checkpoint, options={"view": view, **with_weights}, label=recipe.name))
    return rows


def _described(data: Path, generated: bool) -> str:
    """Describe the data set in words, for the checkpoints' cards."""
    if not generated:
        return data.resolve().name
    made_with = (data / "README.txt").read_text(encoding="utf-8").rpartition("synthesize, ")[2]
    return f"generated: {made_with.strip().rstrip('.')}"


def _claim(folder: Path, clips: Sequence[Clip], split: SensorSplit, scale: str, recipes: Sequence[Recipe]) -> None:
    """Check that ``folder`` is new or of this experiment, so that results of different recipes or clips are not mixed.

    A different front end is rejected by the latent store. ``recipes`` are all that the scale has, chosen or not: the
    others may be added later.
    """
    data = json.dumps([[(clip.name, clip.sensor, clip.sources) for clip in clips], asdict(split)])
    digest = hashlib.sha256(data.encode()).hexdigest()
    digests = {recipe.name: recipe.digest for recipe in recipes}
    made_of = {"scale": scale, "recipes": digests, "clips or split": digest, "probes": PAPER_GRID}
    check_or_write_manifest(folder / "made-of.json", made_of)


class _Overview:
    """A text file with the progress of every row and seed."""

    def __init__(self, folder: Path, recipes: Sequence[Recipe], seeds: int) -> None:
        self.folder, self.recipes, self.seeds = folder, recipes, seeds
        self.path, self.started = folder / "overview.txt", time.time()

    def write(self, seconds_left: float | None) -> None:
        """Rewrite the file. ``seconds_left`` is the estimate for pretraining, if it is running."""
        width = max(len(recipe.name) for recipe in self.recipes)
        head = " " * width + "".join(f"  {f'seed {seed}':22}" for seed in range(self.seeds))
        lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S')}, running for {(time.time() - self.started) / 60:.0f} min", head]
        names = [(FRONT_END, None), (LOG_MEL, None), *((recipe.name, recipe) for recipe in self.recipes)]
        for name, recipe in names:
            states = (self._state(name, recipe, seed) for seed in range(self.seeds))
            lines.append(f"{name:{width}}" + "".join(f"  {state:22}" for state in states).rstrip())
        if seconds_left is not None:
            lines.append(f"pretraining: about {seconds_left / 60:.0f} min left")
        write_atomic(self.path, "\n".join(lines) + "\n")

    def _state(self, name: str, recipe: Recipe | None, seed: int) -> str:
        embedded = [p.parent for p in (self.folder / f"seed{seed}/embeddings" / name).glob("*/*/.done.embeddings")]
        if embedded:
            probed = sum((path / "prediction-done.json").exists() for path in embedded)
            return f"{probed} of {len(embedded)} probes"
        if recipe is None:
            return "waiting"
        epochs = epochs_done(run_folder(self.folder / "runs", recipe, seed))
        return "trained" if epochs == recipe.epochs else f"epoch {epochs} of {recipe.epochs}" if epochs else "waiting"


def _histories(folder: Path, recipes: Sequence[Recipe], seeds: int) -> Mapping[str, Sequence[dict[str, Any]]]:
    runs = [run_folder(folder / "runs", recipe, seed) for recipe in recipes for seed in range(seeds)]
    return {run.name: read_history(run / "history.jsonl") for run in runs}


def _about(
    store: LatentStore, front: FrontEnd, split: SensorSplit, seeds: int, scale: str, generated: bool
) -> list[str]:
    """Describe how the numbers were obtained, one sentence per item."""
    lines = []
    if generated:
        lines.append("Audio and labels are generated. They contain no real recording, and are not the paper's data.")
    lines.append(
        f"Data: {store.about.data}. Pretraining uses {len(store.clips)} clips of {len(split.train)} training and "
        f"{len(split.valid)} validation sensors; the probes use {len(split.probe)} other sensors."
    )
    if front.name == "demo":
        lines.append(
            f"The codec is not the official 44.1 kHz DAC but the small bundled one: {codec_weights.bundle_note()}. The "
            "published numbers in its row are those of the official codec."
        )
    else:
        lines.append(f"Front end: {front.name}, weights with sha256 {front.digest}.")
    lines.append(
        f"Scale {scale}; {seeds} seeds, each with its own pretraining and its own probe clips; heareval's probes are "
        "2-layer MLPs, as in the paper."
    )
    return lines
