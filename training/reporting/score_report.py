"""What a system reports: every score, tables with paired tests, a figure, and the page that shows it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.files import write_atomic
from training.reporting.page import write_page
from training.reporting.score_figure import score_figure
from training.reporting.score_tables import Scores, difference_table, score_table, scores_csv, titles_of
from training.reporting.seed_statistics import Mean, mean

Sections = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ScoreReport:
    """What the report is made from.

    Attributes:
        title: heading of the page.
        scores: of every row.
        reference: the row that all others are compared with.
        labels: printed names of the rows; a row without one is printed by its own.
        titles: printed names of the measures.
        about: sentences on what the numbers stand on.
        caption: of the figure.
        sections: (heading, Markdown) of more tables, below the two that every system has.
        sounds: (caption, data address) of what is to be heard.
    """

    title: str
    scores: Scores
    reference: str
    labels: Mapping[str, str]
    titles: Mapping[str, str]
    about: Sequence[str]
    caption: str
    sections: Sections = ()
    sounds: Sections = ()

    def write(self, folder: Path) -> tuple[Path, str]:
        """Write ``scores.csv``, ``tables.md``, ``scores.png`` and ``.pdf``, and ``page.html`` into ``folder``.

        Returns:
            The page, and its tables as Markdown.
        """
        name = self.labels.get(self.reference, self.reference)
        sections = [
            ("Scores", score_table(self.scores, self.labels, self.titles)),
            (
                f"Difference from {name}, paired by seed",
                difference_table(self.scores, self.reference, self.labels, self.titles),
            ),
            *self.sections,
        ]
        write_atomic(folder / "scores.csv", scores_csv(self.scores))
        text = "\n\n".join(f"## {heading}\n\n{table}" for heading, table in sections)
        write_atomic(folder / "tables.md", text + "\n")
        means = {
            self.labels.get(row, row): {name: _mean(of) for name, of in own.items()} for row, own in self.scores.items()
        }
        figure = score_figure(means, titles_of(self.scores, self.titles), folder / "scores")
        page = write_page(
            folder / "page.html", self.title, self.about, sections, [(self.caption, figure)], sounds=self.sounds
        )
        return page, text


def _mean(of: Mapping[int, float]) -> Mean:
    found = mean(of)
    assert found is not None  # every row has a score of every seed
    return found
