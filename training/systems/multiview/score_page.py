"""The page of ``python -m training report``: scores of any run's embeddings, curves, map and clips."""

from __future__ import annotations

from pathlib import Path

from sonyc_tasks.scores.results import read_scores, split_model_name
from sonyc_tasks.scores.score import score_table
from sonyc_tasks.scores.score_report import markdown
from training.engine.history import read_history
from training.reporting.figures import training_curves
from training.reporting.page import write_page
from training.reporting.page.gallery import load_gallery


def score_page(out: Path, tasks_dir: Path, embeddings: Path, runs: Path) -> Path:
    """Write the page ``out``, and the curves beside it; return its path.

    Args:
        tasks_dir, embeddings: heareval's folders.
        runs: folder of training runs; without any, the page has no curves.

    Raises:
        ValueError: there are no results.
    """
    results = read_scores(embeddings)
    scores = markdown([score_table(model, views) for model, views in results.items()])
    histories = {file.parent.name: read_history(file) for file in sorted(runs.glob("*/history.jsonl"))}
    figures = []
    if histories:
        curves, _ = training_curves(histories, out.with_name(f"{out.stem}-curves"))
        figures.append(("Losses of every run.", curves))
    first = next(iter(results))
    models = [place for place in sorted(embeddings.iterdir()) if split_model_name(place.name)[0] == first]
    about = [f"Scores are from the folder {embeddings}, training runs from {runs}; map and clips are of {first}."]
    gallery = load_gallery(tasks_dir, models)
    return write_page(out, "hear_multiview: scores", about, [("Scores of the views", scores)], figures, gallery)
