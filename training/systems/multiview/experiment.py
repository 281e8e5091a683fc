"""``make paper``: every row of the paper's tables and Figure 2, from a data set, by one command that can be killed.

Data → HEAR tasks, latents → every recipe × seed → checkpoints → heareval's probes → tables, figures, a page. Each step
leaves its result in the folder, whole or not at all, and is not repeated: the same command goes on where it stopped and
ends with the same numbers.

A seed is a whole replication on one division of the sensors: it draws the pairs, the weights and the batches of a run,
and which clips of the probe sensors train, validate and test the probes. So the rows without training have several
values, too, and every difference between two rows of a seed is one on the same clips.

Several processes that were launched together divide the clips of step 3 and, run by run, step 4; what comes before and
after is the main process's. They need one file system.
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
from training.probes import heareval_jobs as harness
from training.probes.heareval_jobs import Submission
from training.recipes import Recipe
from training.systems.multiview.data import extract_sensors
from training.systems.multiview.methods import METHODS
from training.systems.multiview.recipes import ABLATION, BASELINES, BEST, small
from training.systems.multiview.report import ResultInputs, write_results
from training.systems.multiview.rows import FRONT_END, LOG_MEL

log = logging.getLogger(__name__)

#: Generated where no data is given: its seed is that of no other part of the project.
DATA: dict[str, Any] = {"sensors": 44, "clips_per_sensor": 24, "seconds": 5.0, "seed": 3001}
#: Of its sensors; where data is given, the shares of the paper.
SENSORS = {"train": 27, "valid": 5, "probe": 12}


@dataclass(frozen=True)
class Scale:
    """What a size of the whole is made of: the recipes and the front end."""

    recipe: Callable[[Recipe], Recipe]
    frontend: str


#: ``full`` is the paper's own size and codec.
SCALES = {
    "small": Scale(small, "demo"),
    "full": Scale(lambda recipe: recipe, "dac_44khz"),
}


def paper(
    folder: Path,
    data: Path | None = None,
    *,
    seeds: int = 3,
    scale: str = "small",
    split: SensorSplit | None = None,
    frontend: str | None = None,
    frontend_weights: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
) -> Path:
    """Do all of it in ``folder``; return the page.

    Args:
        data: in the layout of SONYC-UST-V2; None generates a mini-SONYC into ``folder``.
        seeds: how many replications; more can be asked for later, and keep those that are there.
        scale: of `SCALES`.
        frontend: another front end than the scale's, by its name for `load_frontend`: any HEAR module can be one.
        split: the sensors' roles; None is the published split, or a draw where the data set is another.
        workers: processes that train at the same time, started by each of those that were launched together.

    Raises:
        ValueError: an unknown scale, fewer than one seed, a folder of something else, or what any step refuses.
    """
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}: choose {' or '.join(SCALES)}")
    if seeds < 1:
        raise ValueError(f"{seeds} seeds are no replication: ask for 1 or more")
    size = SCALES[scale]
    recipes = [size.recipe(recipe) for recipe in (*ABLATION, *BASELINES)]

    _say(1, "data")
    counts: Mapping[str, int] = {}
    if data is None:
        data, counts = folder / "mini-sonyc", SENSORS
        with main_process_first():
            if not data.exists():
                synthesize(data, **DATA)
    generated = (data / "truth.csv").exists()  # which is what `sonyc_tasks.synthesis` leaves
    clips = read_clips(data)
    split = split or choose_split(clips, counts, seed=DATA["seed"])
    split.check(clip.sensor for clip in clips)
    with main_process_first():
        _claim(folder, clips, split, scale, recipes)
    sensors = ", ".join(f"{len(getattr(split, part))} {part}" for part in ("train", "valid", "probe"))
    log.info("  %d clips in %s; sensors: %s", len(clips), data, sensors)

    front = load_frontend(frontend or size.frontend, frontend_weights)
    rates = sorted({front.sample_rate, mel_statistics.SAMPLE_RATE})
    _say(2, "HEAR tasks on the probe sensors, for every seed")
    for seed in range(seeds) if is_main() else ():
        build(data, folder / f"seed{seed}" / "tasks", sample_rate=rates, split=split, seed=seed, grid="paper")
    log.info("  %s and so on", folder / "seed0" / "tasks")

    _say(3, f"latents of the front end {front.name}, once for each clip")
    store = extract_sensors(clips, split, front, folder / "latents", data=_described(data, generated), device=device)
    draw_examples(store, recipes[0], 0)  # says what is wrong with the split before anything trains on it

    overview = _Overview(folder, recipes, seeds)
    _say(4, f"pretraining: {len(recipes)} recipes, {seeds} seeds; {overview.path} shows how far each is")
    jobs = [(recipe, seed) for seed in range(seeds) for recipe in recipes][rank() :: world_size()]
    progress = overview.write if is_main() else lambda _: None
    run_jobs(jobs, store.path, folder / "runs", device=device, workers=workers, on_progress=progress)
    barrier()
    if not is_main():
        return folder / "page.html"

    _say(5, "hear-eval-kit, unmodified: embeddings of every view, then probes")
    for seed in range(seeds):
        log.info("  seed %d, %d of %d", seed, seed + 1, seeds)
        place = folder / f"seed{seed}"
        harness.embed(place, submissions(folder, recipes, seed, front, frontend_weights), folder / "frames")
        overview.write(None)
        harness.predict(place)
        overview.write(None)

    _say(6, "tables, figures, page")
    about = _about(store, front, split, seeds, scale, generated)
    page, summary = write_results(
        folder, ResultInputs(recipes, seeds, front.name, about, BEST.name, _histories(folder, recipes, seeds))
    )
    log.info("%s", "\n".join((summary, "", *about, "", f"Page: {page}")))
    return page


def submissions(
    folder: Path, recipes: Sequence[Recipe], seed: int, front: FrontEnd, weights: Path | None
) -> Sequence[Submission]:
    """What heareval embeds for one seed: the front end first, whose frames the others then find in the cache."""
    of_front = {} if weights is None else {"frontend_weights": str(weights.resolve())}
    rows = [
        Submission(options={"view": "frontend", "frontend": front.name, **of_front}, label=FRONT_END),
        Submission("hear_multiview.references.mel_statistics", label=LOG_MEL),
    ]
    for recipe in recipes:
        checkpoint = run_folder(folder / "runs", recipe, seed) / "checkpoint.safetensors"
        for view in ("joint", "private", "shared") if METHODS[recipe.method].disentangled else ("joint",):
            options = {"view": view, **of_front}
            rows.append(Submission(model=checkpoint, options=options, label=recipe.name))
    return rows


def _described(data: Path, generated: bool) -> str:
    """The data set in words, for the checkpoints' cards."""
    if not generated:
        return data.resolve().name
    made_with = (data / "README.txt").read_text(encoding="utf-8").rpartition("synthesize, ")[2]
    return f"generated: {made_with.strip().rstrip('.')}"


def _claim(folder: Path, clips: Sequence[Clip], split: SensorSplit, scale: str, recipes: Sequence[Recipe]) -> None:
    """Make ``folder`` this paper's, before anything is written there: results of other recipes or clips must not end in
    one table. (Another front end is refused by the latent store.)"""
    data = json.dumps([[(clip.name, clip.sensor, clip.sources) for clip in clips], asdict(split)])
    digest = hashlib.sha256(data.encode()).hexdigest()
    made_of = {
        "scale": scale,
        "recipes": {r.name: r.digest for r in recipes},
        "clips or split": digest,
        "probes": PAPER_GRID,
    }
    check_or_write_manifest(folder / "made-of.json", made_of)


class _Overview:
    """A text file that says of every row and seed how far it is."""

    def __init__(self, folder: Path, recipes: Sequence[Recipe], seeds: int) -> None:
        self.folder, self.recipes, self.seeds = folder, recipes, seeds
        self.path, self.started = folder / "overview.txt", time.time()

    def write(self, seconds_left: float | None) -> None:
        """Look at the folder and write the file anew; ``seconds_left`` of the pretraining, where that is going on."""
        width = max(len(recipe.name) for recipe in self.recipes)
        head = " " * width + "".join(f"  {f'seed {seed}':22}" for seed in range(self.seeds))
        lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S')}, at work for {(time.time() - self.started) / 60:.0f} min", head]
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
    """What the numbers stand on, a sentence each."""
    lines = []
    if generated:
        lines.append(
            "Audio and labels are generated; no real recording is in them, and none of this is the paper's data."
        )
    lines.append(
        f"Data: {store.about.data}. {len(store.clips)} clips of {len(split.train)} sensors train and of "
        f"{len(split.valid)} validate; the probes are on {len(split.probe)} other sensors."
    )
    if front.name == "demo":
        lines.append(
            f"The codec is not the official 44.1 kHz DAC but the bundled small one: {codec_weights.bundle_note()}. The "
            "published numbers in its row are the official codec's."
        )
    else:
        lines.append(f"Front end: {front.name}, weights with sha256 {front.digest}.")
    lines.append(
        f"Scale {scale}; {seeds} seeds, each with its own pretraining and its own probe clips; heareval's probes are "
        "2-layer MLPs, as in the paper."
    )
    return lines


def _say(step: int, what: str) -> None:
    log.info("\n[%d/6] %s", step, what)
