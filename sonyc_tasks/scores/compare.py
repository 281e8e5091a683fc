"""Any HEAR modules side by side, on every scene task that two or more of them have results of.

The score of a task is the first of its evaluation, computed from the predictions that heareval left. In k folds it is
heareval's too: the mean over folds, each with its own probe, so that no probe's probabilities are ranked among
another's. Two modules are compared clip by clip, since both were tested on the same ones. What the intervals and tests
speak of is other test clips; not other sensors, nor other seeds of a model or a probe.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sonyc_tasks.scores.leaderboard import SCORES, OwnScore, read_own_score
from sonyc_tasks.scores.metrics import (
    accuracy,
    area_under_roc,
    holm,
    jaccard,
    mean_average_precision,
    undefined_classes,
    weighted,
)
from sonyc_tasks.scores.result_checks import check_results
from sonyc_tasks.scores.results import Predictions, load_predictions
from sonyc_tasks.scores.score import THRESHOLD, classes_without_clips

#: Exchanges of predictions drawn for each test; the smallest p they can give is one in so many and one.
DRAWS = 10_000
#: heareval's name of a score → (name in `sonyc_tasks.scores.metrics.weighted`, score of a target and a prediction).
METRICS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "mAP": ("mAP", mean_average_precision),
    "aucroc": ("aucroc", area_under_roc),
    "top1_acc": ("top1_acc", accuracy),
    "pitch_acc": ("top1_acc", accuracy),
    "jaccard_micro": ("jaccard_micro", lambda target, prediction: jaccard(target, prediction, "micro")),
    "jaccard_macro": ("jaccard_macro", lambda target, prediction: jaccard(target, prediction, "macro")),
    "jaccard_samples": ("jaccard_samples", lambda target, prediction: jaccard(target, prediction, "samples")),
}
#: Bytes of memory for the exchanges that are computed at a time.
_BLOCK = 100e6
# Two differences are the same where they are this close: what an exchange of equal clips changes is rounding.
_EQUAL = 1e-9


@dataclass(frozen=True)
class ModuleScore:
    """A module's score with its 95 % interval over clips; None where heareval's own number is all there is."""

    module: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """``module`` minus ``reference``: its 95 % interval paired by clip, p two-sided, ``p_holm`` for all tables."""

    module: str
    reference: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class TaskTable:
    """One task: ``clips`` test clips (None: no predictions to count them in), scores from the best on, the module that
    the others are held against (None: nothing to test), the differences from it, and sentences on classes that limit
    the scores."""

    task: str
    metric: str
    clips: int | None
    scores: tuple[ModuleScore, ...]
    reference: str | None
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All tables, sentences on what is not in them, and how many exchanges were drawn for each p value."""

    tables: tuple[TaskTable, ...]
    notes: tuple[str, ...]
    draws: int = DRAWS


def compare(
    folders: Iterable[str | Path], *, baseline: str | None = None, resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare the modules in heareval's ``folders`` of embeddings, each with the best on a task, or with ``baseline``.

    A module is named by its folder; where several folders have one of that name, by the path of the folder. The p value
    of a difference is the share of `DRAWS` random exchanges of the two modules' predictions, clip by clip, that make it
    at least as large.

    Raises:
        ValueError: a folder is not there, holds no results, or they do not belong together: other clips, labels or
            scores for one task, a score that the predictions beside it do not give, two builds of a task, two models of
            one name (see `sonyc_tasks.scores.result_checks.check_results`, which also warns); no module is called
            ``baseline``.
    """
    tasks, notes = _find(folders)
    names = {name for modules in tasks.values() for name in modules}
    if baseline is not None and baseline not in names:
        raise ValueError(
            f"there is no module {baseline} to hold the others against; choose of {', '.join(sorted(names))}"
        )
    together = {task: modules for task, modules in sorted(tasks.items()) if len(modules) > 1}
    if not together:
        raise ValueError("no task has results of two modules; give the folders of modules with a task in common")
    tables = []
    with tqdm(total=len(together) * DRAWS, desc="comparing", unit="draw", delay=3) as bar:
        for number, (task, modules) in enumerate(together.items()):
            tables.append(_table(task, modules, baseline, resamples, seed, notes, bar))
            bar.update((number + 1) * DRAWS - bar.n)
    alone = sorted(tasks.keys() - together.keys())
    if alone:
        notes.append(f"Left out, with results of one module only: {', '.join(alone)}.")
    corrected = iter(holm([difference.p for table in tables for difference in table.differences]))
    tables = [
        replace(table, differences=tuple(replace(one, p_holm=next(corrected)) for one in table.differences))
        for table in tables
    ]
    return Comparison(tuple(tables), tuple(notes))


def _find(folders: Iterable[str | Path]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Task → module → folder of its results, for scene tasks; and a note on the others."""
    found = []
    for folder in {Path(folder).resolve(): Path(folder) for folder in folders}.values():
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}; give heareval's --embeddings-dir, by default embeddings")
        files = sorted(folder.glob(f"*/*/{SCORES}"))
        if not files:
            raise ValueError(
                f"there are no finished results in {folder}/<module>/<task>/; first run python -m "
                f"heareval.predictions.runner {folder}/*/*"
            )
        found += [file.parent for file in files]
    homes: dict[str, set[Path]] = {}
    for place in found:
        homes.setdefault(place.parent.name, set()).add(place.parent)
    tasks: dict[str, dict[str, Path]] = {}
    events = set()
    for place in found:
        if read_own_score(place / SCORES).is_of_events:
            events.add(place.name)
            continue
        module = place.parent.name if len(homes[place.parent.name]) == 1 else str(place.parent)
        tasks.setdefault(place.name, {})[module] = place
    by_module: dict[str, dict[str, Path]] = {}
    for task, modules in tasks.items():
        for module, place in modules.items():
            by_module.setdefault(module, {})[task] = place
    check_results(by_module)
    return tasks, [f"Left out, as no tasks of whole scenes: {', '.join(sorted(events))}."] if events else []


def _table(
    task: str, modules: Mapping[str, Path], baseline: str | None, resamples: int, seed: int, notes: list[str], bar: tqdm
) -> TaskTable:
    own = _own_scores(task, modules)
    metric = next(iter(own.values())).metric
    given = _predictions(task, modules, own) if metric in METRICS else {}
    without = sorted(modules.keys() - given.keys())
    if without:
        why = "of its predictions there is nothing to score" if metric in METRICS else f"{metric} is not computed here"
        notes.append(f"{task}: heareval's own number, without interval and test, for {', '.join(without)}: {why}.")
    unmeasured = _unmeasured(metric, modules, own, given)
    values = {module: _score(metric, folds) for module, folds in given.items()}
    # The same resamples for all, so that the differences of two modules' scores are those of one and the same draw.
    draw = np.random.default_rng(seed)
    counts = [_resamples(draw, len(fold), resamples) for fold in next(iter(given.values()), ())]
    resampled = {module: _weighted(metric, folds, counts) for module, folds in given.items()}
    scores = [ModuleScore(module, values[module], *_interval(resampled[module])) for module in given]
    scores += [ModuleScore(module, own[module].value, None, None) for module in without]
    sign = -1 if next(iter(own.values())).larger_is_better else 1
    scores.sort(key=lambda score: (math.isnan(score.value), sign * score.value, score.module))
    ranked = [score.module for score in scores if score.module in given]
    clips = sum(map(len, given[ranked[0]])) if ranked else None
    reference = baseline or (ranked[0] if ranked else None)
    if reference not in given:
        if given:
            notes.append(f"{task}: no tests, as there are no predictions of {reference} to test against.")
        return TaskTable(task, metric, clips, tuple(scores), None, (), unmeasured)
    ranked.remove(reference)
    p = _permutation(metric, {module: given[module] for module in ranked}, given[reference], seed, bar)
    differences = []
    for module in ranked:
        interval = _interval(resampled[module] - resampled[reference])
        value = values[module] - values[reference]
        differences.append(Difference(module, reference, value, *interval, p[module], p[module]))
    return TaskTable(task, metric, clips, tuple(scores), reference, tuple(differences), unmeasured)


def _unmeasured(
    metric: str,
    modules: Mapping[str, Path],
    own: Mapping[str, OwnScore],
    given: Mapping[str, Sequence[Predictions]],
) -> tuple[str, ...]:
    """Sentences on classes that some test clips cannot measure, the same for all modules."""
    if metric not in ("mAP", "aucroc", "d_prime"):
        return ()
    module, folds = next(iter(given.items()), (None, None))
    if module is None or folds is None:  # a score that is not computed here, or is undefined
        for module, place in modules.items():
            files = [place / f"{split}.predictions.pkl" for split in own[module].values]
            if all(file.is_file() for file in files):
                folds = [load_predictions(file) for file in files]
                break
        else:
            return ()
    notes = []
    for split, fold in zip(own[module].values, folds, strict=True):
        where = "" if split == "test" else f"{split}: "
        if metric == "mAP":
            sentence = classes_without_clips(fold)
        else:
            parts = zip(("no test clip has", "every test clip has"), undefined_classes(fold.target), strict=True)
            found = [f"{who} {fold.names(which)}" for who, which in parts if which.any()]
            rest = "; given here is the mean of the other classes" if given else ""
            sentence = f"{metric} is undefined in heareval, as {' and '.join(found)}{rest}" if found else ""
        if sentence:
            notes.append(f"{where}{sentence}.")
    return tuple(note[0].upper() + note[1:] for note in notes)


def _own_scores(task: str, modules: Mapping[str, Path]) -> dict[str, OwnScore]:
    """What heareval noted for each module; the same score of the same splits, or ValueError."""
    own = {module: read_own_score(place / SCORES) for module, place in modules.items()}
    (first, one), *others = own.items()
    for other, score in others:
        if (score.metric, list(score.values)) != (one.metric, list(one.values)):
            raise ValueError(
                f"{task} is scored by {one.metric} on {', '.join(one.values)} for {first} and by {score.metric} on "
                f"{', '.join(score.values)} for {other}; compute both on the same task folder"
            )
    return own


def _predictions(task: str, modules: Mapping[str, Path], own: Mapping[str, OwnScore]) -> dict[str, list[Predictions]]:
    """Module → the predictions of each of its test splits, of the modules that have them all; or ValueError if they do
    not give the score that heareval noted, or are not of the same clips in the same order."""
    given: dict[str, list[Predictions]] = {}
    names: dict[str, list[list[str] | None]] = {}
    for module, place in modules.items():
        metric, noted = own[module].metric, own[module].values
        files = [place / f"{split}.predictions.pkl" for split in noted]
        if not all(file.is_file() for file in files):
            continue
        folds = [load_predictions(file) for file in files]
        if metric.startswith("jaccard"):
            folds = [Predictions(fold.target, fold.prediction > THRESHOLD) for fold in folds]
        if math.isnan(_score(metric, folds)):
            continue
        for file, fold, value in zip(files, folds, noted.values(), strict=True):
            if abs(_score(metric, [fold]) - value) > 1e-3:  # never so for NaN
                raise ValueError(
                    f"{place / SCORES} gives {metric} = {value}, and {file.name} beside it does not; they are of two "
                    "runs, so delete both and prediction-done.json, and run heareval again"
                )
        given[module], names[module] = folds, [_clip_names(place / f"{split}.json") for split in noted]
    (first, folds), *others = given.items() or [("", [])]
    for other, theirs in others:
        same_names = all(a is None or b is None or a == b for a, b in zip(names[first], names[other], strict=True))
        if not same_names or not all(np.array_equal(a.target, b.target) for a, b in zip(folds, theirs, strict=True)):
            raise ValueError(
                f"the results of {task} are of different clips or labels for {first} and {other}; compute both on the "
                "same task folder, or move one of them away"
            )
    return given


def _clip_names(path: Path) -> list[str] | None:
    """The clips of a split in their order, from the copy of its labels that heareval keeps; None if there is none."""
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    except (ValueError, TypeError):
        raise ValueError(f"{path} is not what heareval writes; compute it again with heareval") from None


def _score(metric: str, folds: Sequence[Predictions]) -> float:
    return float(np.mean([METRICS[metric][1](fold.target, fold.prediction) for fold in folds]))


def _resamples(draw: np.random.Generator, clips: int, resamples: int) -> np.ndarray:
    """How often each clip is in each resample, [clip, resample]; the draws of `metrics.bootstrap`."""
    counts = [np.bincount(draw.integers(clips, size=clips), minlength=clips) for _ in range(resamples)]
    return np.stack(counts, axis=1).astype(np.float64)


def _weighted(metric: str, folds: Sequence[Predictions], weights: Sequence[np.ndarray]) -> np.ndarray:
    """`sonyc_tasks.scores.metrics.weighted`, mean over folds: [draw]."""
    pairs = zip(folds, weights, strict=True)
    return np.mean([weighted(METRICS[metric][0], fold.target, fold.prediction, w) for fold, w in pairs], axis=0)


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def _permutation(
    metric: str,
    modules: Mapping[str, Sequence[Predictions]],
    reference: Sequence[Predictions],
    seed: int,
    bar: tqdm,
) -> dict[str, float]:
    """Module → two-sided p of its difference from the ``reference``, by exchanging their predictions clip by clip."""
    observed = {module: abs(_score(metric, folds) - _score(metric, reference)) for module, folds in modules.items()}
    extreme = dict.fromkeys(modules, 0)
    draw = np.random.default_rng(seed)
    block = int(np.clip(_BLOCK / (16 * sum(map(len, reference))), 100, DRAWS))
    for start in range(0, DRAWS if modules else 0, block):
        size = min(block, DRAWS - start)
        # Below each other stand the clips with one module's predictions and the same with the other's; of the two of a
        # clip, one has weight 1. What this takes from the one module, it gives to the other.
        weights = []
        for fold in reference:
            swapped = draw.integers(2, size=(len(fold), size), dtype=np.int8).astype(np.float64)
            weights.append(np.concatenate([1 - swapped, swapped]))
        for module, folds in modules.items():
            first = _weighted(metric, [_both(*pair) for pair in zip(folds, reference, strict=True)], weights)
            second = _weighted(metric, [_both(*pair) for pair in zip(reference, folds, strict=True)], weights)
            extreme[module] += int(np.count_nonzero(np.abs(first - second) >= observed[module] - _EQUAL))
        bar.update(size)
    # The exchange that was not drawn, of nothing, is one of them as well.
    return {module: (1 + count) / (1 + DRAWS) for module, count in extreme.items()}


def _both(one: Predictions, other: Predictions) -> Predictions:
    return Predictions(np.concatenate([one.target, other.target]), np.concatenate([one.prediction, other.prediction]))
