"""The results of the sampling system: scores of every row and seed, its tables, its figure, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.scores.text_tables import markdown_table
from training.probes.generated_tasks import KINDS, measures
from training.probes.rows import REFERENCE_LABELS
from training.recipes import Recipe
from training.reporting.score_report import ScoreReport
from training.reporting.score_tables import Scores
from training.reporting.seed_statistics import Mean, mean
from training.reporting.text import MISSING
from training.systems.sampling.listening import views_to_hear

#: The columns of the tables.
MEASURES = measures("sampling", KINDS)
#: Printed names of the rows; a recipe of another name is printed as that.
LABELS = {
    **REFERENCE_LABELS,
    "sampling_clip": "clip",
    "sampling_clip_frame": "clip + frame",
    "sampling_clip_pitch": "clip + pitch",
    "sampling_all": "clip + frame + pitch",
    "sampling_clip_cosine": "clip, cosine",
    "sampling_clip_plain": "clip, channel not drawn",
    "sampling_clip_noisy": "clip, noise drawn, too",
    "sampling_clip_by_group": "clip, negatives of one sensor",
    "sampling_clip_max": "clip, maximum over frequency",
}
#: The recipe whose gain over the first one the paper gives, and that gain by measure, relative, from the paper's
#: abstract. Whether it means per cent of the score or points, the abstract does not say.
GAINING = "sampling_all"
PUBLISHED_GAINS = {"tags": 0.25, "events": 0.20, "pitch": 0.036}

#: Measures on recorded clips, with their printed names.
RECORDED = {"recorded_source": "recorded source (mAP)", "recorded_sensor": "recorded sensor (acc.)"}
#: Printed name of every measure.
TITLES = {name: measure.title for name, measure in MEASURES.items()} | RECORDED


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made from.

    Attributes:
        recipes: what was trained; the first is the one that rows are compared with.
        scores: of every row.
        about: sentences on what the numbers stand on.
        files: audio of the clips that were trained on, to listen to.
    """

    recipes: Sequence[Recipe]
    scores: Scores
    about: Sequence[str]
    files: Sequence[Path]


def write_report(folder: Path, given: ReportInputs) -> tuple[Path, str]:
    """Write ``scores.csv``, ``tables.md``, ``scores.png`` and ``.pdf``, and ``page.html`` into ``folder``.

    Returns:
        The page, and its tables as Markdown.
    """
    reference = given.recipes[0].name
    gains = []
    if GAINING in given.scores and reference != GAINING:
        gains = [(f"Relative gain of {LABELS[GAINING]} over clip alone", gain_table(given.scores, reference))]
    return ScoreReport(
        title="Contrast at clip, frame and pitch level",
        scores=given.scores,
        reference=reference,
        labels=LABELS,
        titles=TITLES,
        about=given.about,
        caption="Scores of every row, with 95 % intervals over seeds. More of the sensor is not better: it is what "
        "positives of one clip share without meaning anything.",
        sections=gains,
        sounds=views_to_hear(given.files, given.recipes),
    ).write(folder)


def gain_table(scores: Scores, reference: str) -> str:
    """The published relative gains and ours side by side: s / s_ref − 1 of each seed, then mean and interval."""
    rows = []
    for name, published in PUBLISHED_GAINS.items():
        own, other = scores[GAINING][name], scores[reference][name]
        gains = {seed: 100 * (own[seed] / other[seed] - 1) for seed in sorted(own.keys() & other.keys()) if other[seed]}
        rows.append([MEASURES[name].title, _percent(mean(gains)), f"+{100 * published:g} %"])
    table = markdown_table(["task", "ours, on our task", "published, on another task"], rows, "lrr")
    return f"{table}\n\nThe published gains are from the abstract of arXiv 2505.18984."


def _percent(of: Mean | None) -> str:
    """A gain in per cent, with its interval.

    >>> _percent(Mean(-2.04, 1.0, 3)), _percent(Mean(3, None, 1)), _percent(None)
    ('−2.0 % ± 1.0', '+3.0 %', '—')
    """
    if of is None:
        return MISSING
    half = "" if of.ci_half_width is None else f" ± {of.ci_half_width:.1f}"
    return f"{of.value:+.1f} %".replace("-", "−") + half
