"""``make demo``: the main workflow end to end on generated data, offline, in a few minutes.

Each step corresponds to a command for real data, at a smaller size. A second run reuses finished steps.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import hear_multiview
from hear_multiview.encoders.private_shared import VIEWS
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.files import file_digest, is_empty, read_json_object, write_atomic
from sonyc_tasks.locks import LOCK
from sonyc_tasks.scores.results import read_scores
from sonyc_tasks.scores.score import score_table
from sonyc_tasks.scores.score_report import markdown
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.sonyc import PAPER_GRID, build, choose_split
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.probes import heareval_jobs
from training.recipes import recipe_named
from training.reporting.figures import training_curves
from training.reporting.page import write_page
from training.reporting.page.gallery import load_gallery
from training.systems.multiview.data import extract_sensors

log = logging.getLogger(__name__)

#: The generated data set.
SIZE: dict[str, Any] = {"sensors": 18, "clips_per_sensor": 30, "seconds": 4.0, "seed": 0}
RECIPE = "demo"

NEXT = """\
With real data (SONYC-UST-V2 in DATA, 10 s clips; the official codec downloads itself, about 307 MB):
  python -m training latents DATA --store latents --frontend dac_44khz
  python -m training pretrain --recipe multiview_cosine_private_sample --store latents --runs runs
  python -m sonyc_tasks build DATA --tasks-dir tasks --split latents/split.json --grid paper
  python -m heareval.embeddings.runner hear_multiview --tasks-dir tasks --model runs/…/checkpoint.safetensors
  TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 python -m heareval.predictions.runner embeddings/hear_multiview*/* \\
    --grid-points 1
  python -m sonyc_tasks score embeddings"""


def demo(folder: Path) -> None:
    """Run the demo, logging each step, the score table, and what is generated or untrained.

    Args:
        folder: working folder; results of an earlier demo with other settings are deleted.

    Raises:
        ValueError: the folder contains something else than a demo, or heareval failed.
    """
    recipe = recipe_named(RECIPE)
    _start_afresh_if_changed(folder, {"size": SIZE, "recipe": recipe.as_dict(), "probes": PAPER_GRID})
    data = folder / "mini-sonyc"

    log.info("\n[1/6] synthesize a mini-SONYC")
    if not data.exists():
        synthesize(data, **SIZE)
    clips = read_clips(data)
    split = choose_split(clips, {}, seed=SIZE["seed"])
    log.info(f"  {len(clips)} clips of {SIZE['seconds']:g} s from {SIZE['sensors']} sensors in {data}")
    log.info(f"  sensors: {len(split.train)} train, {len(split.valid)} valid, {len(split.probe)} probe")

    log.info("\n[2/6] compute the codec's latents of every clip")
    front = load_frontend("demo")
    words = f"generated: a mini-SONYC, {json.dumps(SIZE)}"
    store = extract_sensors(clips, split, front, folder / "latents", data=words)
    longest = store.lengths(range(len(store.clips))).max()
    log.info("  %d clips, up to %d frames of %d dimensions, in %s", len(store.clips), longest, front.dim, store.path)

    log.info("\n[3/6] pretrain the multi-view encoder (%s)", ", ".join(recipe.objectives))
    run = pretrain(recipe, store, folder / "runs", seed=SIZE["seed"])
    best = min(run.history, key=lambda record: record["valid"]["total"])
    log.info(f"  best of {len(run.history)} epochs: {best['epoch'] + 1}, validation loss {best['valid']['total']:.4f}")
    log.info(f"  {run.checkpoint}")

    log.info("\n[4/6] build two HEAR tasks, source and sensor, on sensors that pretraining never saw")
    tasks = build(data, folder / "tasks", split=split, seed=SIZE["seed"], grid="paper")
    log.info("%s", "\n".join(f"  {task}" for task in tasks))

    log.info("\n[5/6] run unmodified hear-eval-kit: embeddings, then probes, for every view")
    heareval_jobs.run_embeddings(folder, heareval_jobs.views_of(run.checkpoint, VIEWS))
    heareval_jobs.run_predictions(folder)

    log.info("\n[6/6] score")
    tables = [score_table(model, views) for model, views in read_scores(folder / "embeddings").items()]
    log.info("%s", markdown(tables))
    about = _about(store)
    curves, _ = training_curves({run.checkpoint.parent.name: run.history}, folder / "curves")
    gallery = load_gallery(folder / "tasks", sorted((folder / "embeddings").iterdir()))
    page = write_page(
        folder / "report.html",
        "hear_multiview: the demo",
        about,
        [("Scores of the views", markdown(tables))],
        [("Pretraining losses.", curves)],
        gallery,
    )
    log.info("%s", "\n".join([*about, f"\n\n{NEXT}\n\nReport page: {page}"]))


def _about(store: LatentStore) -> list[str]:
    """Say what is generated, approximate or untrained, one sentence per item."""
    return [
        "What this is: a small run on generated data, which shows that every part works and how to use it. Its scores "
        "cannot be compared with the paper's.",
        f"Audio and labels are generated ({SIZE['sensors']} sensors, {SIZE['clips_per_sensor']} clips each). They "
        "contain no real recording.",
        f"The codec is not the official 44.1 kHz DAC but the small bundled one: {codec_weights.bundle_note()}.",
        f"The encoder is trained on {len(store.clips)} of these clips. The probes are 2-layer MLPs, as in the paper, "
        "with one seed each.",
    ]


def _start_afresh_if_changed(folder: Path, made_of: dict[str, Any]) -> None:
    """Delete an earlier demo with other settings, weights or version; raise if the folder is something else."""
    made_of = {**made_of, "codec": file_digest(codec_weights.BUNDLE), "version": hear_multiview.__version__}
    record = folder / "made-of.json"
    wanted = json.dumps(made_of, sort_keys=True)
    if not is_empty(folder):
        # Runs and other experiments have a record of this name, too; that of a demo says these things.
        found = read_json_object(record, "choose another folder") if record.exists() else {}
        if found.keys() != made_of.keys():
            raise ValueError(f"{folder} contains something else than a demo; choose another folder")
        if found == json.loads(wanted):
            return
        log.info(f"{folder} was made with other settings; it is deleted and made again")
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path not in (record, folder / LOCK):  # without its record, the rest would be something else
                path.unlink()
    write_atomic(record, wanted)
