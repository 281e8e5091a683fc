"""Check what heareval's probes do with a task's sets: batches that crash training, and undefined scores.

heareval trains its probes last, after all embeddings are made. If a score is undefined, it does not fail but stops the
probe and exits as usual. Source: ``heareval/predictions/task_predictions.py`` and ``heareval/score.py`` of heareval
2021.1.3, and ``EarlyStopping(check_finite=True)`` of pytorch-lightning 1.9.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sonyc_tasks.tasks.probe_batches import lone_rows

KFOLD = ("presplit_kfold", "new_split_kfold")
#: Scores that are undefined if a class has no positive or no negative clip.
NEED_BOTH = ("d_prime", "aucroc")
#: Seconds that a clip needs for two frames at HEAR's longest hop, 50 ms.
TWO_FRAMES = 0.1
#: Settings of a probe that are Python objects in heareval's grids, which JSON cannot hold.
_OBJECTS = ("hidden_norm", "embedding_norm", "initialization", "optim")
_METADATA = "task_metadata.json"

Finding = tuple[str, str]  # file, what is wrong and what to do


def probe_faults(metadata: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterator[Finding]:
    """Yield what crashes heareval's predictions; ``sizes``: split → clips."""
    params = _mapping(metadata.get("evaluation_params"))
    grid = _mapping(params.get("task_specific_param_grid"))
    for name, values in grid.items():
        if name in _OBJECTS:
            yield _METADATA, f"{name} needs a Python object, which JSON cannot hold; leave it out"
        elif not isinstance(values, list) or not values:
            yield _METADATA, f"{name} of task_specific_param_grid is {values!r}; give a list of values"
    if metadata["embedding_type"] == "event":
        post = params.get("event_postprocessing_grid")
        one = isinstance(post, Mapping) and all(isinstance(v, list) and len(v) == 1 for v in post.values())
        if not _scores_select(metadata) and not one:
            yield (
                _METADATA,
                "use_scoring_for_early_stopping is false, so heareval needs a single choice of post-processing; give "
                'evaluation_params {"event_postprocessing_grid": {"median_filter_ms": [250], "min_duration": [125]}}',
            )
        return  # rows of batches are frames, whose number depends on the model
    kfold = metadata["split_mode"] in KFOLD
    for what, clips, batch in lone_rows(metadata, sizes):
        yield (
            _METADATA if kfold else f"{what}.json",
            f"the probe trains on {clips} clips{f' ({what})' if kfold else ''}, so the last batch of {batch} has only "
            "one, on which BatchNorm fails; add a clip or leave one out",
        )


def probe_warnings(
    metadata: Mapping[str, Any], clips: Mapping[str, Sequence[set[str]]], vocabulary: Sequence[str]
) -> Iterator[Finding]:
    """Yield what makes heareval's scores meaningless; ``clips``: split → the classes of each clip."""
    scores, kfold = metadata["evaluation"], metadata["split_mode"] in KFOLD
    if scores[0] == "d_prime" and _scores_select(metadata):
        yield (
            _METADATA,
            "d_prime, the first score, becomes infinite for a perfect ranking of the validation clips, and heareval "
            "then stops the probe; put aucroc or mAP first",
        )
    for split, members in clips.items():
        if not members:  # an error already
            continue
        roles = ("valid", "test") if kfold else (split,)
        counts = Counter(name for own in members for name in own)
        absent = [name for name in vocabulary if not counts[name]]
        everywhere = [name for name in vocabulary if counts[name] == len(members)]
        if metadata["embedding_type"] == "event":
            yield from _event_warnings(metadata, split, roles, absent, not counts)
            continue
        for who, names in (("no clip has", absent), ("every clip has", everywhere)):
            effects = list(_effects(metadata, roles, names is absent, len(names), len(vocabulary)))
            if names and effects:
                way = "add a clip with it" if names is absent else "add a clip without it"
                yield f"{split}.json", f"{who} {', '.join(names)}; {' and '.join(effects)}, so {way} or drop the class"


def _effects(
    metadata: Mapping[str, Any], roles: Sequence[str], absent: bool, names: int, classes: int
) -> Iterator[str]:
    """Yield the effects of classes that no clip of a set has (``absent``), or every clip."""
    scores = metadata["evaluation"]
    first = scores[0]
    if "train" in roles and absent:
        yield "the probe cannot learn it"
    if "valid" in roles and _scores_select(metadata):
        if first in NEED_BOTH:
            yield f"{first}, which selects the probe, is undefined, so heareval stops every probe at once"
        elif first == "mAP" and absent and names == classes:
            yield "mAP, which selects the probe, is 0 for all of them"
    if "test" in roles:
        undefined = [score for score in scores if score in NEED_BOTH]
        if undefined:
            yield f"{' and '.join(undefined)} will be NaN"
        if absent and "mAP" in scores:
            yield f"mAP counts it as 0 (perfect predictions get {1 - names / classes:.3f})"
        elif absent and not undefined:
            yield "the probe cannot be measured on it"


def _event_warnings(
    metadata: Mapping[str, Any], split: str, roles: Sequence[str], absent: Sequence[str], no_events: bool
) -> Iterator[Finding]:
    """Yield the effects of a set without events, or without events of some classes."""
    scores = metadata["evaluation"]
    effects = []
    if no_events and "valid" in roles and _scores_select(metadata):
        if scores[0].endswith("_fms"):
            effects.append(f"{scores[0]}, which selects the probe, is undefined, so heareval stops every probe at once")
        else:
            effects.append(f"{scores[0]}, which selects the probe, is 0 or about 1e15")
    if no_events and "test" in roles:
        effects += [f"{score} will be {'NaN' if score.endswith('_fms') else '0 or about 1e15'}" for score in scores]
    if effects:
        yield f"{split}.json", f"the set has no events; {' and '.join(dict.fromkeys(effects))}, so add a clip with one"
    elif absent and ("train" in roles or "test" in roles):
        effect = "the probe cannot learn it" if "train" in roles else "the probe cannot be measured on it"
        yield f"{split}.json", f"no clip has {', '.join(absent)}; {effect}, so add a clip with it or drop the class"


def _scores_select(metadata: Mapping[str, Any]) -> bool:
    """Return whether heareval selects by the first score, not by the loss."""
    return bool(metadata.get("use_scoring_for_early_stopping", True))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
