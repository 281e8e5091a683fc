"""The results of the separated system: its tables, the paper's claims, the separator's scores, and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.scores.metrics import holm
from sonyc_tasks.scores.text_tables import markdown_table
from training.probes.generated_tasks import measures
from training.probes.rows import REFERENCE_LABELS
from training.recipes import Recipe
from training.reporting.score_report import ScoreReport
from training.reporting.score_tables import Scores
from training.reporting.seed_statistics import mean, paired, paired_t_test
from training.reporting.text import MISSING, estimate, number
from training.systems.separated.evaluation import Separation
from training.systems.separated.listening import channels_to_hear
from training.systems.separated.separator import Separator

#: The columns of the tables, and their printed names.
MEASURES = measures("separated", ["tags"])
TITLES = {name: measure.title for name, measure in MEASURES.items()}
#: Printed names of the rows; a recipe of another name is printed as that.
LABELS = {
    **REFERENCE_LABELS,
    "separated_mixture": "mixture and mixture",
    "separated_early": "mixture and channel, early",
    "separated_middle": "mixture and channel, middle",
    "separated_late": "mixture and channel, late",
    "separated_all": "mixture and channel, all states",
    "separated_all_similarity": "all states, similarity only",
    "separated_all_coincidence": "all states, coincidence only",
    "separated_all_channels": "channel and channel, all states",
    "separated_multiview": "multi-view autoencoder, mixture and channel",
    "separated_multiview_private": "the same, private half",
    "separated_multiview_shared": "the same, shared half",
}
#: What the paper's abstract says, as (claim, row, row that it is compared with, whether the first is to be better).
CLAIMS = (
    ("separated views beat mixtures", "separated_all", "separated_mixture", True),
    ("a late state is no better than an early one", "separated_late", "separated_early", False),
    ("both objectives beat similarity", "separated_all", "separated_all_similarity", True),
    ("both objectives beat coincidence", "separated_all", "separated_all_coincidence", True),
)
#: Measures that the claims are about. What an embedding tells of the sensor is no merit.
_JUDGED = ("tags", "source")


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made from.

    Attributes:
        recipes: what was trained; the first is the one that rows are compared with.
        scores: of every row.
        about: sentences on what the numbers stand on.
        files: audio of the clips that were trained on, to listen to.
        states: of the separator, by name.
        separations: how well each of them does.
    """

    recipes: Sequence[Recipe]
    scores: Scores
    about: Sequence[str]
    files: Sequence[Path]
    states: Mapping[str, Separator]
    separations: Mapping[str, Separation]


def write_report(folder: Path, given: ReportInputs) -> tuple[Path, str]:
    """Write ``scores.csv``, ``tables.md``, ``scores.png`` and ``.pdf``, and ``page.html`` into ``folder``.

    Returns:
        The page, and its tables as Markdown.
    """
    sections = [("The separator, on mixtures of two sources that it has not heard", separator_table(given.separations))]
    if claims := claim_table(given.scores):
        sections.insert(0, ("The paper's claims", claims))
    return ScoreReport(
        title="A mixture and its separated sources",
        scores=given.scores,
        reference=given.recipes[0].name,
        labels=LABELS,
        titles=TITLES,
        about=given.about,
        caption="Scores of every row, with 95 % intervals over seeds. More of the sensor is not better: it is what "
        "views of one clip share without meaning anything.",
        sections=sections,
        sounds=channels_to_hear(given.files, given.states),
    ).write(folder)


def claim_table(scores: Scores) -> str:
    """Each claim: the difference of the two rows on each measure, and what these seeds say of it.

    "supported" and "contradicted" mean a paired t-test with p < 0.05 after Holm's correction for all of the table. A
    test that finds no difference does not support that two rows are equally good; it only does not contradict it. Empty
    where no claim has both of its rows.
    """
    there = [claim for claim in CLAIMS if {claim[1], claim[2]} <= scores.keys()]
    tests = {
        (claim, name): paired_t_test(scores[claim[1]][name], scores[claim[2]][name])
        for claim in there
        for name in _JUDGED
    }
    found = {key: p for key, p in tests.items() if p is not None}
    corrected = dict(zip(found, holm(list(found.values())), strict=True))
    rows = []
    for claim in there:
        text, row, other, better = claim
        for name in _JUDGED:
            difference = mean(paired(scores[row][name], scores[other][name]))
            p = corrected.get((claim, name))
            if difference is None:
                continue
            if p is None:
                verdict = "not tested"
            elif p < 0.05:
                verdict = "supported" if better == (difference.value > 0) else "contradicted"
            else:
                verdict = "not decided" if better else "not contradicted"
            size = estimate(difference.value, difference.ci_half_width, "+")
            rows.append([text, TITLES[name], size, MISSING if p is None else number(p), verdict])
    if not rows:
        return ""
    table = markdown_table(["claim", "task", "difference", "p", "by these seeds"], rows, "llrrl")
    return f"{table}\n\np: two-sided paired t-test, corrected for {len(found)} tests (Holm)."


def separator_table(separations: Mapping[str, Separation]) -> str:
    """What each state of the separator reaches, in dB and in counts of outputs."""
    header = [
        "state",
        "best pair",
        "remixed by an oracle",
        "ideal mask",
        "single source",
        "audible of two",
        "audible of one",
    ]
    rows = [
        [name, *(f"{value:.1f}".replace("-", "−") for value in vars(found).values())]
        for name, found in separations.items()
    ]
    text = (
        "Best pair, remixed, ideal mask: improvement in SI-SNR over the mixture in dB, of the best two outputs, of all "
        "outputs given to the right source, and of the ideal ratio mask. Single source: SI-SNR in dB of the best "
        "output where there is nothing to separate (median). Audible: outputs less than 20 dB under the mixture; more "
        "than there are sources is over-separation."
    )
    return f"{markdown_table(header, rows, 'l' + 6 * 'r')}\n\n{text}"
