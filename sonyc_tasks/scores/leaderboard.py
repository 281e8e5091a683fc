"""heareval's own scores of the official HEAR tasks, as a row of the leaderboard of hearbenchmark.com.

The leaderboard is one CSV file, which a submitter extends by a row: model, address, date, and a score for each task.
That is the first score of the task's evaluation, in k folds its mean; of ``Beehive``, the mean over its two folders.
"""

from __future__ import annotations

import csv
import io
import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sonyc_tasks.scores.compare_report import csv_text, grid, write_whole
from sonyc_tasks.scores.result_checks import check_results

SCORES = "test.predicted-scores.json"
MODEL = "Model"
#: What the leaderboard has before its tasks. The address and the date are for the submitter to fill in.
FIRST = (MODEL, "URL", "Submission Date")
#: Folder of an official task → its column; larger is better in all of them. Other versions and sizes are other tasks.
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


@dataclass(frozen=True)
class OwnScore:
    """What heareval noted of one task: ``metric``, the first score of its evaluation; its value on each test split,
    which is "test" or the folds; whether larger is better."""

    metric: str
    values: dict[str, float]
    larger_is_better: bool

    @property
    def value(self) -> float:
        """Of k folds the mean, which in heareval passes over NaN."""
        return _mean([value for value in self.values.values() if not math.isnan(value)] or [math.nan])

    @property
    def is_of_events(self) -> bool:
        """Whether the task is one of sound events in time, not of whole scenes: heareval's names of scores say so."""
        return self.metric.startswith(("event_", "segment_"))


def read_own_score(path: Path) -> OwnScore:
    """heareval's ``test.predicted-scores.json``. Raises ValueError if it is none."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        splits = [name for name, part in noted.items() if isinstance(part, dict) and "test_score" in part]
        keys = [key for key in noted[splits[0]] if key.startswith("test_") and key not in ("test_loss", "test_score")]
        values = {split: float(noted[split]["test_score"]) for split in splits}
        return OwnScore(keys[0].removeprefix("test_"), values, noted.get("score_mode") != "min")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ValueError(f"{path} is not what heareval writes; compute it again with heareval") from None


def leaderboard(
    folder: str | Path, *, published: str | Path | None = None, name: str | None = None, out: str | Path | None = None
) -> str:
    """The leaderboard's row of each module in ``folder``, and where it would stand, as text for the terminal.

    Args:
        folder: heareval's folder of embeddings, or the folder of one module in it.
        published: a copy of the leaderboard's CSV; the row has its columns, and its models are ranked with ours.
        name: of the model in its row, where there is one module (its folder's name).
        out: also write the row here, under a heading, as CSV.

    Raises:
        ValueError: no official task has results in ``folder``, ``name`` is given for several modules, a file is not
            what it should be, or results do not belong together (see `sonyc_tasks.scores.result_checks.check_results`).
    """
    scores, left_out = read_rows(folder)
    if name is not None:
        if len(scores) > 1:
            raise ValueError(
                f"{folder} holds {len(scores)} modules ({', '.join(scores)}), and one name is given; give the "
                "folder of one of them"
            )
        scores = {name: next(iter(scores.values()))}
    header, others = ([*FIRST, *COLUMNS], []) if published is None else read_published(published)
    # A module that is on the leaderboard already is not ranked with itself.
    others = [(model, row) for model, row in others if model not in scores]
    text = csv_text([header, *(_row(header, model, row) for model, row in scores.items())])
    if out is not None:
        write_whole(out, text.encode())
    parts = [text.rstrip("\n")]
    parts += [_standing(model, row, others, header) for model, row in scores.items()]
    if others:
        parts.append(_beside(scores, others, header))
    missing = ["URL and Submission Date are for you to fill in."]
    if left_out:
        missing.append(f"Left out, as no tasks of the leaderboard: {', '.join(left_out)}.")
    if out is not None:
        missing.append(f"Written: {out}")
    return "\n\n".join([*parts, "\n".join(missing)])


def read_rows(folder: str | Path) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Module → column → heareval's score, of the modules in ``folder`` that have official tasks; and the other tasks.

    Raises ValueError if there are no results of an official task, or they do not belong together.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give heareval's --embeddings-dir, by default embeddings")
    files = sorted(root.glob(f"*/{SCORES}")) or sorted(root.glob(f"*/*/{SCORES}"))
    parts: dict[str, dict[str, list[float]]] = {}
    places: dict[str, dict[str, Path]] = {}
    left_out = set()
    for file in files:
        column = OFFICIAL.get(file.parent.name)
        if column is None:
            left_out.add(file.parent.name)
            continue
        module = file.parent.parent.absolute().name
        own = read_own_score(file)
        undefined = [split for split, value in own.values.items() if math.isnan(value)]
        if undefined:
            warnings.warn(
                f"{file.parent}: {own.metric} is undefined on {', '.join(undefined)}, where a class has no positive or "
                "no negative clip; the mean of folds passes over it, as heareval's does",
                stacklevel=2,
            )
        places.setdefault(module, {})[file.parent.name] = file.parent
        parts.setdefault(module, {}).setdefault(column, []).append(own.value)
    check_results(places)
    whole = {column: list(OFFICIAL.values()).count(column) for column in COLUMNS}
    rows: dict[str, dict[str, float]] = {}
    for module, columns in parts.items():
        for column, values in columns.items():
            if len(values) == whole[column] and not any(map(math.isnan, values)):
                # The leaderboard's scores have nine digits.
                rows.setdefault(module, {})[column] = round(_mean(values), 9)
            else:
                why = (
                    "its score is undefined" if any(map(math.isnan, values)) else "not all of its folders have a score"
                )
                left_out.add(f"{column} of {module} ({why})")
    if not rows:
        there = f"; there is {', '.join(sorted(left_out))}" if left_out else ""
        raise ValueError(f"no official HEAR task has results in {root}{there}; compute some with heareval first")
    return rows, sorted(left_out)


def read_published(path: str | Path) -> tuple[list[str], list[tuple[str, dict[str, float]]]]:
    """The heading of a copy of the leaderboard's CSV, and its models with column → score, in its order.

    Raises ValueError if it is no such file.
    """
    path = Path(path)
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file ({error}); give a copy of the leaderboard's") from None
    header = list(lines[0]) if lines else []
    absent = [column for column in (MODEL, *COLUMNS) if column not in header]
    if absent:
        raise ValueError(
            f"{path} has no column {', '.join(map(str, absent))}; give a copy of the leaderboard's CSV file"
        )
    models = []
    for number, line in enumerate(lines, start=1):
        try:
            row = {column: float(line[column]) for column in COLUMNS if line[column].strip()}
        except (ValueError, AttributeError):
            row = {"": math.nan}
        if not all(map(math.isfinite, row.values())):
            raise ValueError(f"{path}: a score in row {number}, {line[MODEL]}, is no number; correct it")
        models.append((line[MODEL], row))
    return header, models


def rank(score: float, others: Iterable[float]) -> tuple[int, int]:
    """Our place among others' scores, and of how many, ours among them; equal scores share the better place.

    >>> rank(0.5, [0.7, 0.5, 0.1])
    (2, 4)
    """
    given = list(others)
    return 1 + sum(other > score for other in given), 1 + len(given)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _row(header: Sequence[str], model: str, row: Mapping[str, float]) -> list[object]:
    return [model if column == MODEL else row.get(column) for column in header]


def _standing(
    model: str, row: Mapping[str, float], others: Sequence[tuple[str, Mapping[str, float]]], header: Sequence[str]
) -> str:
    """A line per task: our score, our place, and the best published one."""
    lines = [["task", model, *(["rank", "best published"] if others else [])]]
    for column in (column for column in header if column in COLUMNS):
        cells = [column, f"{row[column]:.3f}" if column in row else ""]
        theirs = [(scores[column], name) for name, scores in others if column in scores]
        if others:
            place = "{} of {}".format(*rank(row[column], [score for score, _ in theirs])) if column in row else ""
            cells += [place, "{:.3f} {}".format(*max(theirs)) if theirs else ""]
        lines.append(cells)
    return grid(lines)


def _beside(
    ours: Mapping[str, Mapping[str, float]], others: Sequence[tuple[str, Mapping[str, float]]], header: Sequence[str]
) -> str:
    """All models, ours first and marked, on the tasks that we have: all nineteen would not fit a terminal."""
    columns = [column for column in header if any(column in row for row in ours.values())]
    rows = [(f"**{model}**", row) for model, row in ours.items()] + list(others)
    cells = [[name, *(f"{row[column]:.3f}" if column in row else "" for column in columns)] for name, row in rows]
    return grid([[MODEL, *columns], *cells])
