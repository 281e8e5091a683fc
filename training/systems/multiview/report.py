"""From heareval's predictions to what people look at: score file, tables, Figure 2, curves, and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sonyc_tasks.scores.results import Predictions, load_predictions, split_model_name
from sonyc_tasks.scores.score import MEASURES
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.linear_probe import linear_predictions
from training.recipes import Recipe
from training.reporting.figures import figure_2, training_curves
from training.reporting.page import write_page
from training.reporting.page.gallery import load_gallery, task_folder
from training.reporting.seed_statistics import Mean
from training.systems.multiview import tables

#: Rows that nothing of ours is trained for: their names in the scores.
FRONT_END, LOG_MEL = "frontend", "log_mel"
#: Front ends that are the paper's kind: the official codec, and the small one that stands in for it on generated data.
CODECS = ("dac_44khz", "demo")
#: Printed names of the recipes.
NAMES = {
    "multiview_rec": "reconstruction",
    "multiview_cosine_private_sample": "+ L_cos− sample",
    "multiview_cosine_private_batch": "+ L_cos− batch",
    "multiview_cosine_shared_sample": "+ L_cos+ sample",
    "multiview_cosine_shared_batch": "+ L_cos+ batch",
    "multiview_mask_0.2": "+ mask z_p, r = 0.2",
    "multiview_mask_0.4": "+ mask z_p, r = 0.4",
    "multiview_mask_0.6": "+ mask z_p, r = 0.6",
    "multiview_mask_0.8": "+ mask z_p, r = 0.8",
    "single_view": "single-view autoencoder",
    "contrastive": "contrastive (InfoNCE)",
    "supervised_source": "supervised, source",
    "supervised_sensor": "supervised, sensor",
}
#: Rows that the others are tested against.
AGAINST = (FRONT_END, "single_view")


#: Beginning of the results' names → what the probe is called → the predictions in a folder of a task's embeddings.
PROBES: tuple[tuple[str, str, Callable[[Path], Predictions]], ...] = (
    ("", "heareval's probes", lambda place: load_predictions(place / "test.predictions.pkl")),
    ("linear_", "linear probe", linear_predictions),
)


@dataclass(frozen=True)
class Evidence:
    """What the results are made from, besides the folder: the recipes, how many seeds, the front end's name, sentences
    on what it all stands on, the name of the recipe that is "multi-view" in Table 1, and the losses of every run."""

    recipes: Sequence[Recipe]
    seeds: int
    frontend: str
    about: Sequence[str]
    best: str
    histories: Mapping[str, Sequence[Mapping[str, Any]]]


def write_results(folder: Path, given: Evidence) -> tuple[Path, str]:
    """Write ``scores.csv``, ``table1`` and ``table2`` (.md, .csv, .tex) and ``figure2`` (.png, .pdf) into ``folder``,
    the same once more by the linear probe (``linear_…``), ``curves`` and ``page.html``; return the page, and the main
    columns of the tables as text for a terminal."""
    published = {recipe.name: recipe.published for recipe in given.recipes}
    multiview = [recipe.name for recipe in given.recipes if recipe.name.startswith("multiview_")]
    others = [recipe.name for recipe in given.recipes if recipe.name not in multiview]
    alone = _front_end_row(given.frontend)
    log_mel = "log-mel mean and deviation (our reference)", LOG_MEL, (None, None)
    references = [alone, tables.Row(*log_mel)]

    first = [tables.Row(f"multi-view ({NAMES[given.best]})", given.best, published[given.best])]
    first += [tables.Row(NAMES[name], name, published[name]) for name in others] + references
    second = [tables.Row(NAMES[name], name, published[name]) for name in multiview] + references
    shown, summary, figures = [], [], []
    for prefix, probe, predictions in PROBES:
        scores = read_all(folder, given, predictions, probe)
        tables.write_scores(folder / f"{prefix}scores.csv", scores)
        for stem, heading, rows in (
            ("table1", f"Table 1: methods ({probe})", first),
            ("table2", f"Table 2: objectives of the multi-view method ({probe})", second),
        ):
            table = tables.table(rows, scores, AGAINST)
            text = f"{tables.markdown(table)}\n{tables.legend(table)}\n"
            for ending, content in ((".md", text), (".csv", tables.csv_text(table)), (".tex", tables.latex(table))):
                part = folder / f"{prefix}{stem}{ending}.part"
                part.write_text(content, encoding="utf-8")
                part.replace(folder / f"{prefix}{stem}{ending}")
            shown.append((heading, text))
            summary.append(f"{heading}\n\n{brief(table)}")
        unencoded = [
            float(np.mean(list(scores[FRONT_END, "joint", measure].values())))
            for measure in ("source_jaccard_micro", "sensor_accuracy")
        ]
        picture, _ = figure_2(*tables.points(second, scores), unencoded[0], unencoded[1], folder / f"{prefix}figure2")
        caption = f"Figure 2 ({probe}): what each half holds, against the overall score. Dashed: the front end alone."
        figures.append((caption, picture))
    curves, _ = training_curves(given.histories, folder / "curves")
    figures.append(("Losses of every run.", curves))
    first_seed = folder / "seed0"
    shown_models = [
        *(first_seed / "embeddings" / given.best).iterdir(),
        *(first_seed / "embeddings" / FRONT_END).iterdir(),
    ]
    gallery = load_gallery(first_seed / "tasks", shown_models)
    title = "Multi-view embeddings of urban sound"
    page = write_page(folder / "page.html", title, given.about, shown, figures, gallery)
    return page, "\n\n".join(summary)


def _front_end_row(frontend: str) -> tables.Row:
    """The row of the front end alone. The paper's numbers are a codec's: another front end has none beside it."""
    if frontend in CODECS:
        return tables.Row("codec latents, no encoder", FRONT_END, (0.583, 0.684))
    return tables.Row(f"{frontend.rpartition('.')[2]} frames, no encoder", FRONT_END, (None, None))


def brief(table: tables.Table) -> str:
    """The means of a table, narrow enough for a terminal: ours beside the paper's."""

    def cell(mean: Mean | None, sign: str = "") -> str:
        if mean is None:
            return "—"
        return f"{mean.value:{sign}.3f}" + ("" if mean.half_width is None else f" ± {mean.half_width:.3f}")

    columns = ("source", "sensor", "dsc_private", "dsc_shared")
    lines = [f"{'':44}{'source Jaccard':16}{'paper':7}{'sensor acc.':16}{'paper':7}{'DSCΔ private':16}DSCΔ shared"]
    for line in table.lines:
        source, sensor, *both = (cell(line.means[name], "+" if "dsc" in name else "") for name in columns)
        paper = ["—" if number is None else f"{number:.3f}" for number in line.row.published]
        cells = f"{source:16}{paper[0]:7}{sensor:16}{paper[1]:7}{both[0]:16}{both[1]}"
        lines.append(f"{line.row.name:44}{cells}")
    return "\n".join(lines)


def read_all(
    folder: Path, given: Evidence, predictions_in: Callable[[Path], Predictions], probe: str
) -> dict[tuple[str, str, str], dict[int, float]]:
    """Every score of every method, view and seed, by one ``probe``, whose predictions a function reads or makes in the
    folder of a task's embeddings; the views of front end and log-mel are called "joint", for their one embedding."""
    scores: dict[tuple[str, str, str], dict[int, float]] = {}
    for seed in tqdm(range(given.seeds), desc=f"scores ({probe})", unit="seed", delay=2):
        for method in (FRONT_END, LOG_MEL, *(recipe.name for recipe in given.recipes)):
            for place in sorted((folder / f"seed{seed}" / "embeddings" / method).iterdir()):
                view = split_model_name(place.name)[1] if method not in (FRONT_END, LOG_MEL) else "joint"
                found = {task: task_folder(place, task) for task in (SOURCE_TASK, SENSOR_TASK)}
                predictions = {task: predictions_in(path) for task, path in found.items()}
                for measure, (task, metric) in MEASURES.items():
                    value = metric(predictions[task].target, predictions[task].prediction)
                    scores.setdefault((method, view, measure), {})[seed] = value
    return scores
