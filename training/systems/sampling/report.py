"""The results of the sampling system: scores of every row and seed, its tables, its figure, and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.files import write_atomic
from sonyc_tasks.scores.text_tables import csv_text, markdown_table
from training.recipes import Recipe
from training.reporting.page import write_page
from training.reporting.seed_statistics import Mean, compare, mean
from training.reporting.text import MISSING, estimate, number
from training.systems.sampling.figures import score_figure
from training.systems.sampling.listening import views_to_hear
from training.systems.sampling.tasks import MEASURES

#: Rows that are no recipe.
LOG_MEL, MULTIVIEW, UNTRAINED = "log_mel", "multiview", "untrained"
#: Printed names of the rows; a recipe of another name is printed as that.
LABELS = {
    LOG_MEL: "log-mel statistics",
    MULTIVIEW: "multi-view model (bundled)",
    UNTRAINED: "untrained encoder",
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
#: Row → measure (of `TITLES`) → seed → score.
Scores = Mapping[str, Mapping[str, Mapping[int, float]]]


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
    sections = [
        ("Scores", score_table(given.scores)),
        (f"Difference from {label(reference)}, paired by seed", difference_table(given.scores, reference)),
    ]
    if GAINING in given.scores and reference != GAINING:
        sections.append((f"Relative gain of {label(GAINING)} over clip alone", gain_table(given.scores, reference)))
    write_atomic(folder / "scores.csv", _csv(given.scores))
    text = "\n\n".join(f"## {heading}\n\n{table}" for heading, table in sections)
    write_atomic(folder / "tables.md", text + "\n")
    means = {label(row): {name: _mean(of) for name, of in own.items()} for row, own in given.scores.items()}
    figure = score_figure(means, _titles(given.scores), folder / "scores")
    caption = (
        "Scores of every row, with 95 % intervals over seeds. More of the sensor is not better: it is what positives "
        "of one clip share without meaning anything."
    )
    page = write_page(
        folder / "page.html",
        "Contrast at clip, frame and pitch level",
        given.about,
        sections,
        [(caption, figure)],
        sounds=views_to_hear(given.files, given.recipes),
    )
    return page, text


def label(row: str) -> str:
    """The printed name of a row.

    >>> label("sampling_all"), label("sampling_of_mine")
    ('clip + frame + pitch', 'sampling_of_mine')
    """
    return LABELS.get(row, row)


def score_table(scores: Scores) -> str:
    """Mean and interval of each row and measure."""
    titles = _titles(scores)
    rows = [
        [label(row), *(_estimate(_mean(own[name])) for name in titles), str(len(own[next(iter(titles))]))]
        for row, own in scores.items()
    ]
    return markdown_table(["row", *titles.values(), "seeds"], rows, _align(len(titles) + 1))


def difference_table(scores: Scores, reference: str) -> str:
    """Each row minus the ``reference``, with the p value of the paired t-test, corrected for all tests of the table."""
    differences, tests = compare(scores, scores, [reference])
    titles, rows = _titles(scores), []
    for row in scores:
        if row == reference:
            continue
        cells = []
        for name in titles:
            found = differences[row, reference, name]
            p = "" if found.p_holm is None else f" (p {number(found.p_holm)})"
            cells.append(_estimate(found.mean, "+") + p)
        rows.append([label(row), *cells])
    table = markdown_table(["row", *titles.values()], rows, _align(len(titles)))
    return f"{table}\n\np: two-sided paired t-test, corrected for {tests} tests (Holm)."


def gain_table(scores: Scores, reference: str) -> str:
    """The published relative gains and ours side by side: s / s_ref − 1 of each seed, then mean and interval."""
    rows = []
    for name, published in PUBLISHED_GAINS.items():
        own, other = scores[GAINING][name], scores[reference][name]
        gains = {seed: 100 * (own[seed] / other[seed] - 1) for seed in sorted(own.keys() & other.keys()) if other[seed]}
        rows.append([MEASURES[name].title, _percent(mean(gains)), f"+{100 * published:g} %"])
    table = markdown_table(["task", "ours, on our task", "published, on another task"], rows, "lrr")
    return f"{table}\n\nThe published gains are from the abstract of arXiv 2505.18984."


def _titles(scores: Scores) -> dict[str, str]:
    """Printed names of the measures that there are, which are the same for every row."""
    return {name: TITLES[name] for name in next(iter(scores.values()))}


def _percent(of: Mean | None) -> str:
    """A gain in per cent, with its interval.

    >>> _percent(Mean(-2.04, 1.0, 3)), _percent(Mean(3, None, 1)), _percent(None)
    ('−2.0 % ± 1.0', '+3.0 %', '—')
    """
    if of is None:
        return MISSING
    half = "" if of.ci_half_width is None else f" ± {of.ci_half_width:.1f}"
    return f"{of.value:+.1f} %".replace("-", "−") + half


def _mean(of: Mapping[int, float]) -> Mean:
    found = mean(of)
    assert found is not None  # every row has a score of every seed
    return found


def _estimate(of: Mean | None, sign: str = "") -> str:
    return MISSING if of is None else estimate(of.value, of.ci_half_width, sign)


def _align(numbers: int) -> str:
    return "l" + "r" * numbers


def _csv(scores: Scores) -> str:
    rows = [
        (row, name, seed, score)
        for row, own in scores.items()
        for name, of_seeds in own.items()
        for seed, score in of_seeds.items()
    ]
    return csv_text(("row", "measure", "seed", "score"), rows)
