"""heareval's own scores of the official HEAR tasks as a row of the leaderboard of hearbenchmark.com.

The leaderboard is one CSV file. A submitter adds a row: model, address, date, and a score for each task, which is the
first score of the task's evaluation (the mean over k folds). ``Beehive`` is the mean over its two folders.
"""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sonyc_tasks.files import write_atomic
from sonyc_tasks.scores.result_checks import check_results
from sonyc_tasks.scores.results import SCORES, read_heareval_score, require_folder
from sonyc_tasks.scores.text_tables import csv_text, markdown_table

MODEL = "Model"
#: The columns before the tasks. The submitter fills in the address and the date.
FIRST = (MODEL, "URL", "Submission Date")
#: Folder of an official task → its column; larger is better in all. Other versions and sizes are other tasks.
OFFICIAL = {
    "beehive_states_fold0-v2-full": "Beehive",
    "beehive_states_fold1-v2-full": "Beehive",
    "beijing_opera-v1.0-hear2021-full": "Beijing Opera",
    "tfds_crema_d-1.0.0-full": "CREMA-D",
    "dcase2016_task2-hear2021-full": "DCASE 2016",
    "esc50-v2.0.0-full": "ESC-50",
    "fsd50k-v1.0-full": "FSD50K",
    "tfds_gtzan-1.0.0-full": "GTZAN Genre",
    "tfds_gtzan_music_speech-1.0.0-full": "GTZAN Music/Speech",
    "gunshot_triangulation-v1.0-full": "Gunshot",
    "libricount-v1.0.0-hear2021-full": "Libricount",
    "maestro-v3.0.0-5h": "Maestro 5h",
    "mridangam_stroke-v1.5-full": "Mridangam Stroke",
    "mridangam_tonic-v1.5-full": "Mridangam Tonic",
    "nsynth_pitch-v2.2.3-50h": "NSynth Pitch 50h",
    "nsynth_pitch-v2.2.3-5h": "NSynth Pitch 5h",
    "speech_commands-v0.0.2-5h": "Speech commands 5h",
    "speech_commands-v0.0.2-full": "Speech commands full",
    "vocal_imitation-v1.1.3-full": "Vocal Imitation",
    "vox_lingua_top10-hear2021-full": "VoxLingua107 top 10",
}
COLUMNS = tuple(dict.fromkeys(OFFICIAL.values()))


def leaderboard(
    folder: str | Path, *, published: str | Path | None = None, name: str | None = None, out: str | Path | None = None
) -> str:
    """Format the leaderboard's row of each module in ``folder``, and its rank, as text for the terminal.

    Args:
        folder: heareval's folder of embeddings, or the folder of one module in it.
        published: A copy of the leaderboard's CSV file, whose columns the row gets and whose models it is ranked with.
        name: Name of the model in its row, for a single module; by default its folder's.
        out: File for header and row, as CSV.

    Raises:
        ValueError: No official task has results in ``folder``; ``name`` is given for several modules; a file is not
            what it should be; or results do not belong together (see `result_checks.check_results`).
    """
    scores, left_out = read_rows(folder)
    if name is not None:
        if len(scores) > 1:
            raise ValueError(
                f"{folder} holds {len(scores)} modules ({', '.join(scores)}) for one name; give the folder of one"
            )
        scores = {name: next(iter(scores.values()))}
    header, others = ([*FIRST, *COLUMNS], []) if published is None else read_published(published)
    # A model that is already on the leaderboard is not ranked with itself.
    others = [(model, row) for model, row in others if model not in scores]
    text = csv_text(header, [_row(header, model, row) for model, row in scores.items()])
    if out is not None:
        write_atomic(Path(out), text)
    parts = [text.rstrip("\n")]
    parts += [_ranks(model, row, others, header) for model, row in scores.items()]
    if others:
        parts.append(_all_models(scores, others, header))
    hints = ["Fill in URL and Submission Date yourself."]
    if left_out:
        hints.append(f"Left out, as they are not on the leaderboard: {', '.join(left_out)}.")
    if out is not None:
        hints.append(f"Written: {out}")
    return "\n\n".join([*parts, "\n".join(hints)])


def read_rows(folder: str | Path) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Read the scores of the modules in ``folder``.

    Returns:
        Module → column → heareval's score, for modules with official tasks; and the names of the other tasks.

    Raises:
        ValueError: There are no results of an official task, or results do not belong together.
    """
    root = require_folder(folder)
    parts: dict[str, dict[str, list[float]]] = {}
    places: dict[str, dict[str, Path]] = {}
    left_out = set()
    for file in sorted(root.glob(f"*/{SCORES}")) or sorted(root.glob(f"*/*/{SCORES}")):
        column = OFFICIAL.get(file.parent.name)
        if column is None:
            left_out.add(file.parent.name)
            continue
        module = file.parent.parent.absolute().name
        own = read_heareval_score(file)
        undefined = [split for split, value in own.values.items() if math.isnan(value)]
        if undefined:
            warnings.warn(
                f"{file.parent}: {own.metric} is undefined on {', '.join(undefined)}, where a class has no positive or "
                "no negative clip; the mean over folds skips it, as in heareval",
                stacklevel=2,
            )
        places.setdefault(module, {})[file.parent.name] = file.parent
        parts.setdefault(module, {}).setdefault(column, []).append(own.value)
    check_results(places)
    rows: dict[str, dict[str, float]] = {}
    for module, columns in parts.items():
        for column, values in columns.items():
            if any(map(math.isnan, values)):
                left_out.add(f"{column} of {module} (its score is undefined)")
            elif len(values) < list(OFFICIAL.values()).count(column):
                left_out.add(f"{column} of {module} (one of its folders has no score)")
            else:  # the leaderboard's scores have nine digits
                rows.setdefault(module, {})[column] = round(math.fsum(values) / len(values), 9)
    if not rows:
        there = f", only {', '.join(sorted(left_out))}" if left_out else ""
        raise ValueError(f"{root} has no results of an official HEAR task{there}; compute some with heareval first")
    return rows, sorted(left_out)


def read_published(path: str | Path) -> tuple[list[str], list[tuple[str, dict[str, float]]]]:
    """Read a copy of the leaderboard's CSV file.

    Returns:
        The header, and (model, column → score) in the order of the file.

    Raises:
        ValueError: The file is something else.
    """
    path = Path(path)
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file ({error}); give a copy of the leaderboard's") from None
    header = list(lines[0]) if lines else []
    absent = [column for column in (MODEL, *COLUMNS) if column not in header]
    if absent:
        raise ValueError(f"{path} lacks the columns {', '.join(absent)}; give a copy of the leaderboard's CSV file")
    models = []
    for number, line in enumerate(lines, start=1):
        try:
            row = {column: float(line[column]) for column in COLUMNS if line[column].strip()}
        except (ValueError, AttributeError):
            row = {"": math.nan}
        if not all(map(math.isfinite, row.values())):
            raise ValueError(f"{path}: a score in row {number}, {line[MODEL]}, is not a number; correct it")
        models.append((line[MODEL], row))
    return header, models


def rank(score: float, others: Iterable[float]) -> tuple[int, int]:
    """Return the rank of a score, and the number of scores including it; equal scores share the better rank.

    >>> rank(0.5, [0.7, 0.5, 0.1])
    (2, 4)
    """
    given = list(others)
    return 1 + sum(other > score for other in given), 1 + len(given)


def _row(header: Sequence[str], model: str, row: Mapping[str, float]) -> list[object]:
    return [model if column == MODEL else row.get(column) for column in header]


def _ranks(
    model: str, row: Mapping[str, float], others: Sequence[tuple[str, Mapping[str, float]]], header: Sequence[str]
) -> str:
    """Format one line per task: our score, our rank, and the best published score."""
    lines = []
    for column in (column for column in header if column in COLUMNS):
        cells = [column, f"{row[column]:.3f}" if column in row else ""]
        theirs = [(scores[column], name) for name, scores in others if column in scores]
        if others:
            place = "{} of {}".format(*rank(row[column], [score for score, _ in theirs])) if column in row else ""
            cells += [place, "{:.3f} {}".format(*max(theirs)) if theirs else ""]
        lines.append(cells)
    return markdown_table(["task", model, *(["rank", "best published"] if others else [])], lines)


def _all_models(
    ours: Mapping[str, Mapping[str, float]], others: Sequence[tuple[str, Mapping[str, float]]], header: Sequence[str]
) -> str:
    """Format all models, ours first and in bold, on the tasks that we have: all nineteen would not fit a terminal."""
    columns = [column for column in header if any(column in row for row in ours.values())]
    rows = [(f"**{model}**", row) for model, row in ours.items()] + list(others)
    cells = [[name, *(f"{row[column]:.3f}" if column in row else "" for column in columns)] for name, row in rows]
    return markdown_table([MODEL, *columns], cells)
