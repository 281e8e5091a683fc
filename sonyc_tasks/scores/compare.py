"""Compare HEAR modules on every scene task that two or more of them have results for.

The score of a task is the first one of its ``evaluation``, computed from the predictions that heareval left. With k
folds it is the mean over folds, as in heareval: each fold has its own probe, and probabilities of different probes are
not ranked together. All modules were tested on the same clips, so differences are paired by clip. The intervals and
tests describe other test clips, not other sensors and not other seeds of a model or a probe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sonyc_tasks.files import read_json_object
from sonyc_tasks.scores.metrics import holm, undefined_classes
from sonyc_tasks.scores.resampling import (
    DRAWS,
    METRICS,
    percentile_interval,
    permutation_test,
    resample_counts,
    resampled_scores,
    score_of_folds,
)
from sonyc_tasks.scores.result_checks import AGAIN, check_results
from sonyc_tasks.scores.results import (
    SCORES,
    HearevalScore,
    Predictions,
    load_predictions,
    of_two_runs,
    read_heareval_score,
    require_folder,
)
from sonyc_tasks.scores.score import THRESHOLD, classes_without_clips


@dataclass(frozen=True)
class ModuleScore:
    """A module's score with its 95 % interval over clips; no interval if only heareval's own number is known."""

    module: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """The score of ``module`` minus that of ``reference``.

    Attributes:
        low, high: 95 % interval, paired by clip.
        p: Two-sided p value of the permutation test.
        p_holm: The same, corrected for the tests of all tables.
    """

    module: str
    reference: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class TaskTable:
    """The scores of all modules on one task.

    Attributes:
        clips: Number of test clips; None if there are no predictions to count them in.
        scores: The best first.
        reference: The module that the others are compared with; None if there is nothing to test.
        notes: Sentences on classes that limit the scores.
    """

    task: str
    metric: str
    clips: int | None
    scores: tuple[ModuleScore, ...]
    reference: str | None
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All tables, sentences on what they leave out, and the number of permutations behind each p value."""

    tables: tuple[TaskTable, ...]
    notes: tuple[str, ...]
    draws: int = DRAWS


def compare(
    folders: Iterable[str | Path], *, baseline: str | None = None, resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare the modules in heareval's ``folders`` of embeddings.

    Each module is compared with ``baseline``, by default with the best module on each task. A module is named by its
    folder, or by the folder's path if several folders share the name. The p value of a difference is the share of
    `DRAWS` random exchanges of the two modules' predictions, clip by clip, that make it at least as large.

    Args:
        folders: heareval's folders of embeddings.
        baseline: Name of a module.
        resamples: Resamples of the bootstrap.
        seed: Seed of the bootstrap and the permutations.

    Raises:
        ValueError: A folder is missing or has no results; no module is called ``baseline``; or results do not belong
            together: different clips, labels or scores for one task, a score that does not match its predictions, two
            builds of a task, two models with one name (see `result_checks.check_results`, which also warns).
    """
    tasks, notes = _find(folders)
    names = {name for modules in tasks.values() for name in modules}
    if baseline is not None and baseline not in names:
        raise ValueError(f"there is no module {baseline} to compare with; choose from {', '.join(sorted(names))}")
    shared = {task: modules for task, modules in sorted(tasks.items()) if len(modules) > 1}
    if not shared:
        raise ValueError("no task has results of two modules; give folders of modules that share a task")
    tables = []
    for task, modules in tqdm(shared.items(), desc="comparing", unit="task", delay=3):
        table, missing = _table(task, modules, baseline, resamples, seed)
        tables.append(table)
        notes += missing
    alone = sorted(tasks.keys() - shared.keys())
    if alone:
        notes.append(f"Left out, with results of only one module: {', '.join(alone)}.")
    corrected = iter(holm([difference.p for table in tables for difference in table.differences]))
    tables = [
        replace(table, differences=tuple(replace(one, p_holm=next(corrected)) for one in table.differences))
        for table in tables
    ]
    return Comparison(tuple(tables), tuple(notes))


def _find(folders: Iterable[str | Path]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Return task → module → folder of its results, for scene tasks, and a note on the other tasks."""
    found: list[Path] = []
    for folder in {Path(folder).resolve(): Path(folder) for folder in folders}.values():
        require_folder(folder)
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
    by_module: dict[str, dict[str, Path]] = {}
    events = set()
    for place in found:
        if read_heareval_score(place / SCORES).is_event_task:
            events.add(place.name)
            continue
        module = place.parent.name if len(homes[place.parent.name]) == 1 else str(place.parent)
        tasks.setdefault(place.name, {})[module] = place
        by_module.setdefault(module, {})[place.name] = place
    check_results(by_module)
    return tasks, [f"Left out, as they are not scene tasks: {', '.join(sorted(events))}."] if events else []


def _table(
    task: str, modules: Mapping[str, Path], baseline: str | None, resamples: int, seed: int
) -> tuple[TaskTable, list[str]]:
    """Return the table of one task, and sentences on intervals and tests that it lacks."""
    own = _heareval_scores(task, modules)
    metric, larger_is_better = next((score.metric, score.larger_is_better) for score in own.values())
    given = _predictions(task, modules, own) if metric in METRICS else {}
    unmeasured = _unmeasured(metric, modules, own, given)
    notes = []
    without = sorted(modules.keys() - given.keys())
    if without:
        why = "there are no predictions to score" if metric in METRICS else f"{metric} is not computed here"
        notes.append(f"{task}: heareval's own number, without interval and test, for {', '.join(without)}: {why}.")
    values = {module: score_of_folds(metric, folds) for module, folds in given.items()}
    # All modules share the resamples, so that the difference of two scores is that of one draw of clips.
    draw = np.random.default_rng(seed)
    counts = [resample_counts(draw, len(fold), resamples) for fold in next(iter(given.values()), ())]
    resampled = {module: resampled_scores(metric, folds, counts) for module, folds in given.items()}
    scores = [ModuleScore(module, values[module], *percentile_interval(resampled[module])) for module in given]
    scores += [ModuleScore(module, own[module].value, None, None) for module in without]
    sign = -1 if larger_is_better else 1
    scores.sort(key=lambda score: (math.isnan(score.value), sign * score.value, score.module))
    ranked = [score.module for score in scores if score.module in given]
    clips = sum(map(len, given[ranked[0]])) if ranked else None
    reference = baseline or (ranked[0] if ranked else None)
    if reference not in given:
        if given:
            notes.append(f"{task}: no tests, as there are no predictions of {reference} to test against.")
        return TaskTable(task, metric, clips, tuple(scores), None, (), unmeasured), notes
    ranked.remove(reference)
    p = permutation_test(metric, {module: given[module] for module in ranked}, given[reference], seed)
    differences = tuple(
        Difference(
            module,
            reference,
            values[module] - values[reference],
            *percentile_interval(resampled[module] - resampled[reference]),
            p[module],
            p[module],
        )
        for module in ranked
    )
    return TaskTable(task, metric, clips, tuple(scores), reference, differences, unmeasured), notes


def _unmeasured(
    metric: str,
    modules: Mapping[str, Path],
    own: Mapping[str, HearevalScore],
    given: Mapping[str, Sequence[Predictions]],
) -> tuple[str, ...]:
    """Return sentences on classes that the test clips cannot measure, the same for all modules."""
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


def _heareval_scores(task: str, modules: Mapping[str, Path]) -> dict[str, HearevalScore]:
    """Return heareval's score for each module; ValueError if they are not the same score of the same splits."""
    own = {module: read_heareval_score(place / SCORES) for module, place in modules.items()}
    (first, one), *others = own.items()
    for other, score in others:
        if (score.metric, list(score.values)) != (one.metric, list(one.values)):
            raise ValueError(
                f"{task} is scored by {one.metric} on {', '.join(one.values)} for {first} but by {score.metric} on "
                f"{', '.join(score.values)} for {other}; compute both on the same task folder"
            )
    return own


def _predictions(
    task: str, modules: Mapping[str, Path], own: Mapping[str, HearevalScore]
) -> dict[str, list[Predictions]]:
    """Return module → predictions of each test split, for the modules that have all of them.

    Raises:
        ValueError: Predictions do not give heareval's score, or modules differ in the clips or their order.
    """
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
        if math.isnan(score_of_folds(metric, folds)):
            continue
        for file, fold, value in zip(files, folds, noted.values(), strict=True):
            if abs(score_of_folds(metric, [fold]) - value) > 1e-3:  # never so for NaN
                raise of_two_runs(place / SCORES, metric, value, file)
        given[module], names[module] = folds, [_clip_names(place / f"{split}.json") for split in noted]
    (first, folds), *others = given.items() or [("", [])]
    for other, theirs in others:
        same_names = all(a is None or b is None or a == b for a, b in zip(names[first], names[other], strict=True))
        if not same_names or not all(np.array_equal(a.target, b.target) for a, b in zip(folds, theirs, strict=True)):
            raise ValueError(
                f"the results of {task} are for different clips or labels in {first} and {other}; compute both on the "
                "same task folder, or move one of them away"
            )
    return given


def _clip_names(path: Path) -> list[str] | None:
    """Return the clips of a split in order, from heareval's copy of its labels; None if there is no copy."""
    return list(read_json_object(path, AGAIN)) if path.is_file() else None
