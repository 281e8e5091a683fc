"""From heareval's predictions to what people look at: score file, tables, Figure 2, curves, and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sonyc_tasks.files import write_atomic
from sonyc_tasks.scores.results import Predictions, load_predictions, split_model_name
from sonyc_tasks.scores.score import MEASURES
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.linear_probe import linear_predictions
from training.recipes import Recipe
from training.reporting.figures import training_curves
from training.reporting.page import write_page
from training.reporting.page.gallery import load_gallery, task_folder
from training.reporting.text import estimate, number
from training.systems.multiview import tables
from training.systems.multiview.figures import figure_2
from training.systems.multiview.rows import FRONT_END, LOG_MEL, table_rows
from training.systems.multiview.tables import Row

#: Rows that the others are tested against, where they are there.
REFERENCES = (FRONT_END, "single_view")
#: Prefix of the results' file names → name of the probe → how to get its predictions from a folder of embeddings.
PROBES: tuple[tuple[str, str, Callable[[Path], Predictions]], ...] = (
    ("", "heareval's probes", lambda place: load_predictions(place / "test.predictions.pkl")),
    ("linear_", "linear probe", linear_predictions),
)


@dataclass(frozen=True)
class ResultInputs:
    """What the results are made from, besides the folder.

    Attributes:
        recipes: what was trained.
        seeds: how many seeds of each.
        frontend: name of the front end.
        about: sentences on what the numbers are based on.
        best: name of the recipe that is "multi-view" in Table 1 and whose embeddings the page shows, if it is one of
            ``recipes``.
        histories: losses of every run, by its folder's name.
    """

    recipes: Sequence[Recipe]
    seeds: int
    frontend: str
    about: Sequence[str]
    best: str
    histories: Mapping[str, Sequence[Mapping[str, Any]]]


def write_results(folder: Path, given: ResultInputs) -> tuple[Path, str]:
    """Write scores, tables, figures and the page into ``folder``.

    These are ``scores.csv``, ``table1`` and ``table2`` (.md, .csv, .tex) and ``figure2`` (.png, .pdf), the same again
    by the linear probe (``linear_…``), ``curves`` and ``page.html``. Without a multi-view recipe, there is no Figure 2.

    Returns:
        The page, and the main columns of the tables as text for a terminal.
    """
    first, second = table_rows(given.recipes, given.best, given.frontend)
    names = [recipe.name for recipe in given.recipes]
    references = [method for method in REFERENCES if method in (FRONT_END, *names)]
    sections, summary, figures = [], [], []
    for prefix, probe, predictions in PROBES:
        scores = read_all(folder, given, predictions, probe)
        tables.write_scores(folder / f"{prefix}scores.csv", scores)
        for stem, heading, rows in (
            ("table1", f"Table 1: methods ({probe})", first),
            ("table2", f"Table 2: objectives of the multi-view method ({probe})", second),
        ):
            table = tables.table(rows, scores, references)
            text = f"{tables.markdown(table)}\n{tables.correction_note(table)}\n"
            sections.append((heading, text))
            summary.append(f"{heading}\n\n{brief(table)}")
            write_atomic(folder / f"{prefix}{stem}.md", f"{text}\n{tables.LEGEND}")
            write_atomic(folder / f"{prefix}{stem}.csv", tables.csv_text(table))
            write_atomic(folder / f"{prefix}{stem}.tex", tables.latex(table))
        if picture := _figure_2(second, scores, folder / f"{prefix}figure2"):
            caption = "what each half holds, against the overall score. Dashed: the front end alone."
            figures.append((f"Figure 2 ({probe}): {caption}", picture))
    sections.append(("How to read the tables", tables.LEGEND))
    figures.append(("Losses of every run.", training_curves(given.histories, folder / "curves")[0]))
    embeddings = folder / "seed0" / "embeddings"
    shown = given.best if given.best in names else names[0]
    models = [model for method in (shown, FRONT_END) for model in (embeddings / method).iterdir()]
    gallery = load_gallery(folder / "seed0" / "tasks", models)
    title = "Multi-view embeddings of urban sound"
    page = write_page(folder / "page.html", title, given.about, sections, figures, gallery)
    return page, "\n\n".join(summary)


def _figure_2(rows: Sequence[Row], scores: tables.Scores, stem: Path) -> Path | None:
    """Draw Figure 2 and return its PNG file; without points, None, and no figure of an earlier call is left."""
    points = tables.points(rows, scores)
    if not any(points):
        for ending in (".png", ".pdf"):
            stem.with_name(stem.name + ending).unlink(missing_ok=True)
        return None
    source, sensor = (
        float(np.mean(list(scores[FRONT_END, "joint", measure].values())))
        for measure in ("source_jaccard_micro", "sensor_accuracy")
    )
    return figure_2(*points, source, sensor, stem)[0]


def brief(table: tables.Table) -> str:
    """The means of a table next to the paper's, narrow enough for a terminal."""
    columns = ("source", "sensor", "dsc_private", "dsc_shared")
    lines = [f"{'':44}{'source Jaccard':16}{'paper':7}{'sensor acc.':16}{'paper':7}{'DSCΔ private':16}DSCΔ shared"]
    for line in table.lines:
        source, sensor, *both = (
            number(None) if mean is None else estimate(mean.value, mean.ci_half_width, "+" if "dsc" in name else "")
            for name, mean in ((name, line.means[name]) for name in columns)
        )
        paper = [number(value) for value in line.row.published]
        cells = f"{source:16}{paper[0]:7}{sensor:16}{paper[1]:7}{both[0]:16}{both[1]}"
        lines.append(f"{line.row.label:44}{cells}")
    return "\n".join(lines)


def read_all(
    folder: Path, given: ResultInputs, predictions_in: Callable[[Path], Predictions], probe: str
) -> dict[tuple[str, str, str], dict[int, float]]:
    """Read every score of every method, view and seed, by one probe.

    Args:
        folder: of all results.
        given: the recipes and the number of seeds.
        predictions_in: reads or makes the probe's predictions in the folder of a task's embeddings.
        probe: its name, for the progress bar.

    Returns:
        (method, view, measure) → seed → score. Front end and log-mel have one embedding, which is called "joint".
    """
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
