"""Annotators: three volunteers per clip who miss, imagine and disagree, and for some clips an agreed ground truth.

The more a source stands out from the background and the other sources, the likelier a volunteer hears it. Volunteers
sometimes imagine a class, such as an engine in city noise. The fainter a source, the more often its fine tag is wrong
or left open ("X"). The rates are chosen to be plausible, not fitted to SONYC-UST.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS, FINE, NOT_LABELLED, coarse_of
from sonyc_tasks.synthesis.scenes import Event

#: The columns of a row that do not depend on the annotator, by name.
Context = dict[str, int | float | str]

#: How many volunteers there are; ``annotator_id`` counts from 1.
VOLUNTEERS = 60
PER_CLIP = 3

#: Chance that a volunteer hears a class that is absent, as city noise can be mistaken for it.
IMAGINED = dict(zip(COARSE, (0.10, 0.03, 0.04, 0.02, 0.02, 0.015, 0.05, 0.01), strict=True))

_OPEN = {coarse_of(tag): tag for tag in FINE if "-X_" in tag}
_TAGS = {coarse: [tag for tag in FINE if coarse_of(tag) == coarse] for coarse in COARSE}


@dataclass(frozen=True)
class Listener:
    """Someone who annotates.

    Attributes:
        number: Their ``annotator_id``.
        threshold: Level in dB over the background that they hear half of the time.
        false_alarm_scale: Factor of the usual rate of imagined classes.
        confidence: Chance that they name a clear sound correctly.
    """

    number: int
    threshold: float
    false_alarm_scale: float
    confidence: float


#: The agreed ground truth (``annotator_id`` 0): experts who listened repeatedly.
EXPERT = Listener(0, -1.0, 0.05, 0.95)


def make_volunteer(rng: Generator, number: int) -> Listener:
    """Draw volunteer ``number`` (from 1) from their own stream, the same person in every clip."""
    return Listener(number, rng.normal(4.0, 2.0), rng.uniform(0.4, 1.6), rng.uniform(0.6, 0.9))


def audibility(events: list[Event]) -> list[float]:
    """Return the dB [event] by which each event stands out from the background, partly masked by the others."""
    levels = np.array([event.snr for event in events])
    heard = []
    for index, level in enumerate(levels):
        others = np.delete(levels, index)
        mask = max(0.0, float(others.max()) - 8.0) / 2 if len(others) else 0.0
        heard.append(float(level) - min(mask, 6.0))
    return heard


def labels(rng: Generator, listener: Listener, events: list[Event]) -> dict[str, int | str]:
    """Draw the fine, proximity and coarse columns that ``listener`` gives a clip with these events."""
    found: dict[str, str] = {}
    for event, level in zip(events, audibility(events), strict=True):
        if rng.random() < 1 / (1 + np.exp(-(level - listener.threshold) / 2.5)):
            found[_named(rng, listener, event.fine, level)] = _proximity(rng, listener, event.distance)
    for coarse in COARSE:
        if rng.random() < IMAGINED[coarse] * listener.false_alarm_scale:
            found.setdefault(_OPEN.get(coarse, _TAGS[coarse][0]), "far" if rng.random() < 0.5 else "notsure")
    row: dict[str, int | str] = {f"{tag}_presence": int(tag in found) for tag in FINE}
    row |= {f"{tag}_proximity": found.get(tag, NOT_LABELLED) for tag in FINE}
    row |= {f"{coarse}_presence": int(any(tag in found for tag in _TAGS[coarse])) for coarse in COARSE}
    return row


def _named(rng: Generator, listener: Listener, fine: str, level: float) -> str:
    """Draw the tag that the listener gives a sound: ``fine``, the open tag of its class, or a wrong one."""
    tags = _TAGS[coarse_of(fine)]
    if len(tags) == 1 or rng.random() < listener.confidence - 0.02 * max(0.0, 12.0 - level):
        return fine
    if rng.random() < 0.6:
        return _OPEN[coarse_of(fine)]
    return str(rng.choice(tags))


def _proximity(rng: Generator, listener: Listener, metres: float) -> str:
    """Draw how far away the listener thinks a source is."""
    if rng.random() > listener.confidence:
        return "notsure"
    return "near" if metres * np.exp(rng.normal(0, 0.4)) < 18.0 else "far"


def annotate(
    rng: Generator, context: Context, events: list[Event], volunteers: list[Listener], agreed: bool
) -> list[list[int | float | str]]:
    """Draw the rows of one clip in ``annotations.csv``, each in the order of ``COLUMNS``.

    Args:
        rng: The clip's stream.
        context: The columns that say which clip it is, and where and when it was recorded.
        events: What sounds.
        volunteers: All volunteers, of whom three annotate.
        agreed: Whether a row of ground truth comes first.
    """
    chosen = sorted(rng.choice(len(volunteers), PER_CLIP, replace=False))
    rows = []
    for listener in [EXPERT] * agreed + [volunteers[index] for index in chosen]:
        row = {**context, "annotator_id": listener.number, **labels(rng, listener, events)}
        rows.append([row[column] for column in COLUMNS])
    return rows


def clip_time(rng: Generator) -> dict[str, int]:
    """Draw the time of a recording: year, week (1 to 52), day (0 to 6) and hour (0 to 23), mostly by day."""
    hour = int(rng.choice(24, p=np.r_[[0.015] * 7, [0.06] * 14, [0.055 / 3] * 3]))
    return {
        "year": int(rng.integers(2016, 2020)),
        "week": int(rng.integers(1, 53)),
        "day": int(rng.integers(7)),
        "hour": hour,
    }
