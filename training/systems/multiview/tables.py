"""The result tables: scores of every seed in; Markdown and LaTeX for people and CSV for programs out.

The same scores give the same bytes, in whatever order the runs ended. A score that is not there yet is "—" in Markdown
and LaTeX, and empty in CSV.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.files import write_atomic
from sonyc_tasks.scores import text_tables
from sonyc_tasks.scores.results import VIEWS
from sonyc_tasks.scores.score import MEASURES, THRESHOLD
from training.reporting.seed_statistics import Difference, Mean, compare, mean, paired
from training.reporting.text import MISSING, estimate, number

#: (method, view, measure) → seed → score, 0 to 1. View and measure as in `sonyc_tasks`.
Scores = Mapping[tuple[str, str, str], Mapping[int, float]]
_COLUMNS = ("method", "view", "measure", "seed", "score")
#: The measure of a task that the tables show.
_MEASURE = {"source": "source_jaccard_micro", "sensor": "sensor_accuracy"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        method: its key in the scores, a recipe's name for what is trained.
        label: its printed name.
        published: (source Jaccard, sensor accuracy) in the paper; None where the paper gives none.
        table: the number of the paper's table that it is in; 0 for rows of both.
        group: what it is drawn as in Figure 2; None leaves it out there.
    """

    method: str
    label: str
    published: tuple[float | None, float | None] = (None, None)
    table: int = 0
    group: str | None = None


@dataclass(frozen=True)
class Line:
    """A row with its numbers.

    Attributes:
        row: the row.
        n: the number of seeds that have a score of the joint view.
        means: by "source", "sensor" (of the joint view), "source_private", "source_shared", "sensor_private",
            "sensor_shared", "dsc_private", "dsc_shared"; None without scores.
        differences: by (reference, "source" or "sensor"), of the joint view.
    """

    row: Row
    n: int
    means: Mapping[str, Mean | None]
    differences: Mapping[tuple[str, str], Difference]


@dataclass(frozen=True)
class Table:
    """A table with its numbers.

    Attributes:
        lines: in the order of the rows.
        references: methods that every row is compared with.
        tests: the number of tests that the p values are corrected for.
    """

    lines: tuple[Line, ...]
    references: tuple[str, ...]
    tests: int


@dataclass(frozen=True)
class Point:
    """One method in one panel of `training.systems.multiview.figures.figure_2`.

    Attributes:
        label: its printed name.
        group: of its row; the points of a group look alike.
        overall: score of the joint embedding, 0 to 1.
        overall_interval: (low, high) of ``overall``; None draws no bar.
        delta: score of the half that the panel is about, minus the other half's.
        delta_interval: (low, high) of ``delta``; None draws no bar.
    """

    label: str
    group: str
    overall: float
    overall_interval: tuple[float, float] | None
    delta: float
    delta_interval: tuple[float, float] | None


def write_scores(path: str | Path, scores: Scores) -> None:
    """Write scores as long CSV, sorted, one line per score: method, view, measure, seed, score. Whole or not at all.

    Raises:
        ValueError: an unknown view or measure, or a score that is not from 0 to 1. Nothing is written then.
    """
    _check(scores)
    lines = [(*key, seed, repr(float(score))) for key, seeds in scores.items() for seed, score in seeds.items()]
    write_atomic(Path(path), text_tables.csv_text(_COLUMNS, sorted(lines)))


def read_scores_csv(path: str | Path) -> dict[tuple[str, str, str], dict[int, float]]:
    """Read what `write_scores` wrote, to the last digit.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a table, a seed comes twice, or as for `write_scores`; names file and line.
    """
    scores: dict[tuple[str, str, str], dict[int, float]] = {}
    try:
        text = Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a score table ({error}); write it again") from error
    with io.StringIO(text, newline="") as file:
        lines = csv.reader(file)
        rows = _rows(lines, path)
        if tuple(next(rows, ())) != _COLUMNS:
            raise ValueError(f"{path} is not a score table; its first line must be {','.join(_COLUMNS)}")
        for fields in rows:
            try:
                method, view, measure, seed, score = fields
                key, at, value = (method, view, measure), int(seed), float(score)
                _check({key: {at: value}})
            except ValueError as error:
                raise ValueError(f"{path}, line {lines.line_num}: {error}; correct the line or leave it out") from error
            if at in scores.setdefault(key, {}):
                raise ValueError(f"{path}, line {lines.line_num}: second score of seed {at}; leave one out")
            scores[key][at] = value
    return scores


def _rows(lines: Iterator[list[str]], path: str | Path) -> Iterator[list[str]]:
    try:
        yield from lines
    except csv.Error as error:
        raise ValueError(f"{path} is not a score table ({error}); write it again") from error


def table(rows: Sequence[Row], scores: Scores, references: Sequence[str]) -> Table:
    """Compute all numbers of a table.

    Args:
        rows: its rows; one without scores stays, empty next to its published numbers.
        scores: the scores.
        references: methods in ``scores`` to compare every row with.

    Raises:
        ValueError: as for `write_scores`.
    """
    _check(scores)
    seeds = {method: _by_seed(method, scores) for method in (*references, *(row.method for row in rows))}
    joint = {method: {task: of[task] for task in _MEASURE} for method, of in seeds.items()}
    differences, tests = compare(joint, [row.method for row in rows], references)
    lines = []
    for row in rows:
        own = seeds[row.method]
        against = {(to, task): differences[row.method, to, task] for to in references for task in _MEASURE}
        n = len(own["source"].keys() | own["sensor"].keys())
        lines.append(Line(row, n, {what: mean(by_seed) for what, by_seed in own.items()}, against))
    return Table(tuple(lines), tuple(references), tests)


def points(rows: Sequence[Row], scores: Scores) -> tuple[list[Point], list[Point]]:
    """The points of Figure 2: the rows that have a group, and scores of the joint view and of both halves.

    Returns:
        (source over DSCΔ private, sensor over DSCΔ shared).

    Raises:
        ValueError: as for `write_scores`.
    """
    _check(scores)
    panels: tuple[list[Point], list[Point]] = ([], [])
    for row in rows:
        seeds = _by_seed(row.method, scores)
        for panel, what, delta_of in zip(panels, _MEASURE, ("dsc_private", "dsc_shared"), strict=True):
            overall, delta = mean(seeds[what]), mean(seeds[delta_of])
            if row.group and overall and delta:
                panel.append(Point(row.label, row.group, overall.value, overall.interval, delta.value, delta.interval))
    return panels


#: What the columns of every table mean.
LEGEND = f"""\
Every score is the mean over n training seeds. ± is half the width of its 95 % t-interval over these seeds, given for
three seeds or more. It tells how much other seeds would change the score, not how much other clips or sensors would.
(n=…) in a cell: its number of seeds differs from its row's.

Source is the Jaccard index, micro average: labels that are both true and predicted, over labels that are either,
counted over all clips and classes; a class is predicted where its probability is above {THRESHOLD}. Sensor is accuracy.
Both are scores of the joint embedding, unless a half is named. DSCΔ private is source of the private half minus source
of the shared half; DSCΔ shared is sensor of the shared half minus sensor of the private half; both are computed seed by
seed. Positive values mean that the halves hold what their names say.

"source − X" and "sensor − X" are the row minus method X, with the same seeds and on the same test clips. p is that of a
two-sided paired t-test over these seeds, corrected after Holm for all tests of the table; a pair of methods counts once
for source and once for sensor. p is 1 where all seeds give a difference of exactly 0. Where all give the same other
difference, there is no spread to test against, and no p.

Published numbers are those printed in the paper, from its own probes, splits and average of the Jaccard index. None of
our numbers depends on them. {MISSING}: not there.
"""


def correction_note(table: Table) -> str:
    """How many tests the p values of this table are corrected for, in a sentence."""
    return f"The p values are corrected for the {table.tests} tests of this table."


def markdown(table: Table) -> str:
    """The table as Markdown, without `LEGEND`: scores, halves and differences one below the other, to fit a window."""
    scores, source, sensor, *differences = _blocks(table)
    parts = []
    for blocks in filter(None, ([scores], [source, sensor], differences)):
        rows = [[blocks[0][r][0], *(cell for block in blocks for cell in block[r][1:])] for r in range(len(scores))]
        # What Markdown would take for emphasis, code or a tag; "p<.001" is none of them.
        rows = [[re.sub(r"[\\*`]|<(?=[a-zA-Z/!?])", r"\\\g<0>", cell) for cell in row] for row in rows]
        parts.append(text_tables.markdown_table(rows[0], rows[1:], "l" + "r" * (len(rows[0]) - 1)) + "\n")
    return "\n".join(parts)


def latex(table: Table) -> str:
    r"""The table as LaTeX for a document with ``\usepackage{booktabs}``, without `LEGEND` (see `escaped`).

    Its columns come in several tabulars, one below the other: all of them side by side are wider than a page.
    """
    parts = []
    for block in _blocks(table):
        heading, *body = (" & ".join(map(escaped, row)) + r" \\" for row in block)
        opening = rf"\begin{{tabular}}{{l{'r' * (len(block[0]) - 1)}}}"
        lines = [opening, r"\toprule", heading, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
        parts.append("\n".join(lines))
    start, between = "{\\scriptsize\\setlength{\\tabcolsep}{3pt}\\noindent\n", "\n\n\\medskip\\noindent\n"
    return start + between.join(parts) + "\\par}\n"


# "<" and ">" are other characters in TeX's oldest font encoding; "[" or "*" at the start of a row would be an option of
# the end of the row before.
_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {c: f"${c}$" for c in "<>|"} | {c: f"{{{c}}}" for c in "[*"}
_TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", '"': "''"}
_TEX |= {"−": "$-$", "±": r"$\pm$", "×": r"$\times$", "—": "---", "–": "--", "…": r"\ldots{}", "Δ": r"$\Delta$"}


def escaped(text: str) -> str:
    r"""Escape ``text`` for LaTeX. Letters that LaTeX may not know stay as they are.

    >>> print(escaped("50 % of L_cos−"))
    50 \% of L\_cos$-$
    """
    return "".join(_TEX.get(c, c) for c in text)


def csv_text(table: Table) -> str:
    """The table as CSV for programs: every number to its last digit in a column of its own, without `LEGEND`.

    A mean "x" is followed by "x_ci_half_width" and "x_n", a difference also by its p before and after correction.
    """
    lines: list[dict[str, object]] = []
    for line in table.lines:
        fields: dict[str, object] = {"name": line.row.label, "method": line.row.method, "n": line.n}
        published = dict(zip(_MEASURE, line.row.published, strict=True))
        for what, value in line.means.items():
            fields |= _numbers(what, value)
            if what in published:
                fields[f"published_{what}"] = published[what]
        for (reference, task), of in line.differences.items():
            what = f"{task}_minus_{reference}"
            fields |= {**_numbers(what, of.mean), f"{what}_p": of.p, f"{what}_p_holm": of.p_holm}
        lines.append(fields)
    return text_tables.csv_text(list(lines[0]), [list(line.values()) for line in lines]) if lines else ""


def _numbers(what: str, of: Mean | None) -> dict[str, object]:
    return {what: of and of.value, f"{what}_ci_half_width": of and of.ci_half_width, f"{what}_n": of and of.n}


def _check(scores: Scores) -> None:
    for (method, view, measure), seeds in scores.items():
        for what, name, known in (("view", view, VIEWS), ("measure", measure, tuple(MEASURES))):
            if name not in known:
                raise ValueError(f"method {method}: unknown {what} {name!r}; choose from {', '.join(known)}")
        for seed, score in seeds.items():
            if not 0 <= score <= 1:
                raise ValueError(f"{measure} of {method}, {view}, seed {seed}, is {score}; give a score from 0 to 1")


def _by_seed(method: str, scores: Scores) -> dict[str, Mapping[int, float]]:
    """Of one method: seed → score for each key of `Line.means`, in that order."""

    def of(view: str, task: str) -> Mapping[int, float]:
        return scores.get((method, view, _MEASURE[task]), {})

    return {
        **{task: of("joint", task) for task in _MEASURE},
        **{f"{task}_{half}": of(half, task) for task in _MEASURE for half in ("private", "shared")},
        "dsc_private": paired(of("private", "source"), of("shared", "source")),
        "dsc_shared": paired(of("shared", "sensor"), of("private", "sensor")),
    }


def _blocks(table: Table) -> list[list[list[str]]]:
    """Columns that belong together, as rows of printed cells, headings first; each block begins with the names."""
    blocks = [[["method", "n", "source Jaccard", "published source", "sensor accuracy", "published sensor"]]]
    blocks.append([["method", "source of private", "source of shared", "DSCΔ private"]])
    blocks.append([["method", "sensor of private", "sensor of shared", "DSCΔ shared"]])
    blocks += [[["method", *(c for t in _MEASURE for c in (f"{t} − {to}", "p"))]] for to in table.references]
    for line in table.lines:
        name = " ".join(line.row.label.split())
        mine = {what: _cell(value, line.n, "+" if "dsc" in what else "") for what, value in line.means.items()}
        source, sensor = map(number, line.row.published)
        blocks[0].append([name, str(line.n), mine["source"], source, mine["sensor"], sensor])
        blocks[1].append([name, mine["source_private"], mine["source_shared"], mine["dsc_private"]])
        blocks[2].append([name, mine["sensor_private"], mine["sensor_shared"], mine["dsc_shared"]])
        for block, reference in zip(blocks[3:], table.references, strict=True):
            against = [line.differences[reference, task] for task in _MEASURE]
            block.append([name, *(c for of in against for c in (_cell(of.mean, line.n, "+"), _p(of.p_holm)))])
    return blocks


def _cell(of: Mean | None, n: int, sign: str = "") -> str:
    if of is None:
        return MISSING
    return estimate(of.value, of.ci_half_width, sign) + (f" (n={of.n})" if of.n != n else "")


def _p(p: float | None) -> str:
    if p is None:
        return MISSING
    return "p<.001" if p < 0.001 else f"p={p:.3f}".replace("=0", "=").replace("=1.000", "=1")
