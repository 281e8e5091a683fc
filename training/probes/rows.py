"""The rows of a system's table, what learned nothing here and every recipe, and the scores that heareval gives them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sonyc_tasks.files import read_json_object
from training.engine.pretrain import run_folder
from training.probes import heareval_jobs
from training.probes.generated_tasks import Measure
from training.probes.heareval_jobs import Submission
from training.recipes import Recipe
from training.registry import entry
from training.reporting.page.gallery import task_folder

log = logging.getLogger(__name__)

#: Rows that are no recipe.
LOG_MEL, MULTIVIEW, UNTRAINED = "log_mel", "multiview", "untrained"
#: Views of an encoder whose parts mean something each.
HALVES = ("private", "shared")
#: Printed names of the rows that are no recipe.
REFERENCE_LABELS = {
    LOG_MEL: "log-mel statistics",
    MULTIVIEW: "multi-view model (bundled)",
    UNTRAINED: "untrained encoder",
}


def untrained(folder: Path, seed: int) -> Path:
    """Where in the folder of a system's results the checkpoint without training is."""
    return folder / "untrained" / f"seed{seed}.safetensors"


def submissions(folder: Path, recipes: Sequence[Recipe], seed: int) -> list[Submission]:
    """What heareval embeds for one seed: rows that learned nothing here, then one for each recipe.

    Where the halves of an encoder mean something each, they have rows of their own.
    """
    rows = [
        Submission(label=MULTIVIEW),
        Submission("hear_multiview.references.mel_statistics", label=LOG_MEL),
        Submission(model=untrained(folder, seed), label=UNTRAINED),
    ]
    for recipe in recipes:
        checkpoint = run_folder(folder / "runs", recipe, seed) / "checkpoint.safetensors"
        rows.append(Submission(model=checkpoint, label=recipe.name))
        if entry("methods", recipe.method).disentangled:
            halves = [Submission(model=checkpoint, options={"view": h}, label=f"{recipe.name}_{h}") for h in HALVES]
            rows += halves
    return rows


def probe(folder: Path, recipes: Sequence[Recipe], seeds: int) -> None:
    """Let heareval embed the tasks of every seed, in ``folder/seed<k>``, with all `submissions`, and train its probes.

    What is done is not repeated.
    """
    for seed in range(seeds):
        log.info("  seed %d, %d of %d", seed, seed + 1, seeds)
        place = folder / f"seed{seed}"
        heareval_jobs.run_embeddings(place, submissions(folder, recipes, seed), folder / "frames")
        heareval_jobs.run_predictions(place)


def read_scores(
    folder: Path, recipes: Sequence[Recipe], seeds: int, measures: Mapping[str, Measure]
) -> dict[str, dict[str, dict[int, float]]]:
    """heareval's scores: row → measure → seed → score. An F-measure without any event found, NaN, counts as 0."""
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for seed in range(seeds):
        for given in submissions(folder, recipes, seed):
            place = folder / f"seed{seed}" / "embeddings" / given.folder
            for name, measure in measures.items():
                found = read_json_object(task_folder(place, measure.task) / "test.predicted-scores.json")
                score = float(found["test"][f"test_{measure.score}"])
                own = scores.setdefault(given.label, {}).setdefault(name, {})
                own[seed] = 0.0 if math.isnan(score) else score
    return scores
