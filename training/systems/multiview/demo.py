"""``make demo``: the main job end to end on generated data, offline, in a few minutes.

Every step is the command that a user types for real data, at a smaller size; a second run reuses what is done.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import hear_multiview
from hear_multiview.encoders.mlp import VIEWS
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.scores.results import read_scores
from sonyc_tasks.scores.score import score_table
from sonyc_tasks.scores.score_report import markdown
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.sonyc import PAPER_GRID, build, choose_split
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.probes import heareval_jobs as harness
from training.recipes import recipe_named
from training.reporting.figures import training_curves
from training.reporting.page import write_page
from training.reporting.page.gallery import load_gallery
from training.systems.multiview.data import extract_sensors

log = logging.getLogger(__name__)

#: Sensors, clips of each, seconds of each clip, seed.
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
    """Run all of it in ``folder``, printing each step, the score table, and what about it was generated."""
    recipe = recipe_named(RECIPE)
    _start_afresh_if_changed(folder, {"size": SIZE, "recipe": recipe.as_dict(), "probes": PAPER_GRID})
    data = folder / "mini-sonyc"

    _say(1, "synthesize a mini-SONYC")
    if not data.exists():
        synthesize(data, **SIZE)
    clips = read_clips(data)
    split = choose_split(clips, {}, seed=SIZE["seed"])
    log.info(f"  {len(clips)} clips of {SIZE['seconds']:g} s from {SIZE['sensors']} sensors in {data}")
    log.info(
        f"  sensors: {len(split.train)} to train, {len(split.valid)} to validate, {len(split.probe)} for the probes"
    )

    _say(2, "compute the codec's latents, once for each clip")
    front = load_frontend("demo")
    store = extract_sensors(
        clips, split, front, folder / "latents", data=f"generated: a mini-SONYC, {json.dumps(SIZE)}"
    )
    longest = store.lengths(range(len(store.clips))).max()
    log.info("  %d clips, up to %d frames of %d dimensions, in %s", len(store.clips), longest, front.dim, store.path)

    _say(3, f"pretrain the multi-view encoder ({', '.join(recipe.objectives)})")
    run = pretrain(recipe, store, folder / "runs", seed=SIZE["seed"])
    best = min(run.history, key=lambda record: record["valid"]["total"])
    log.info(f"  best of {len(run.history)} epochs: {best['epoch'] + 1}, validation loss {best['valid']['total']:.4f}")
    log.info(f"  {run.checkpoint}")

    _say(4, "build the two HEAR tasks, source and sensor, on sensors that pretraining never saw")
    tasks = build(data, folder / "tasks", split=split, seed=SIZE["seed"], grid="paper")
    log.info("%s", "\n".join(f"  {task}" for task in tasks))

    _say(5, "run hear-eval-kit, unmodified: embeddings, then probes, for every view")
    harness.embed(folder, harness.views_of(run.checkpoint, VIEWS))
    harness.predict(folder)

    _say(6, "score")
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
        [("Losses of the pretraining.", curves)],
        gallery,
    )
    log.info("%s", "\n".join([*about, f"\n\n{NEXT}\n\nReport page: {page}"]))


def _about(store: LatentStore) -> list[str]:
    """What of the result is generated, approximate or untrained, a sentence each."""
    return [
        "What this is: a small run on generated data, to show that every part works and how to use it. Its scores are "
        "not comparable with the paper's.",
        f"Audio and labels are generated ({SIZE['sensors']} sensors, {SIZE['clips_per_sensor']} clips each); no real "
        "recording is in them.",
        f"The codec is not the official 44.1 kHz DAC but the bundled small one: {codec_weights.bundle_note()}.",
        f"The encoder is trained on {len(store.clips)} of those clips; the probes are 2-layer MLPs, as in the paper, "
        "one seed each.",
    ]


def _start_afresh_if_changed(folder: Path, made_of: dict[str, Any]) -> None:
    """Throw away an older demo that was made with other settings, weights or version."""
    made_of = {**made_of, "codec": codec_weights.sha256(codec_weights.BUNDLE), "version": hear_multiview.__version__}
    record = folder / "made-of.json"
    wanted = json.dumps(made_of, sort_keys=True)
    if folder.exists() and any(folder.iterdir()):
        if not record.exists():
            raise ValueError(f"{folder} holds something else than an earlier demo: choose another folder")
        if record.read_text() == wanted:
            return
        log.info(f"{folder} was made with other settings: starting afresh")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(wanted)


def _say(step: int, what: str) -> None:
    log.info("\n[%d/6] %s", step, what)
