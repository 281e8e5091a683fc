"""Corrections to a stratified division of recordings into train, valid and test.

Stratification keeps the shares of frequent labels. What only a few recordings have it leaves where they happen to
fall, mostly in train, and it knows nothing of batches. Three corrections, each of which does nothing where it is not
needed, so that most divisions stay as they were drawn:

1. every sensor is in every set;
2. every source is in as many sets as it has recordings: in test first, then in train, then in valid;
3. train has no size that ends heareval's training (:mod:`sonyc_tasks.tasks.probe_batches`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.tasks.probe_batches import has_lone_row

#: The order in which a source that few recordings have gets into the sets.
_ORDER = ("test", "train", "valid")
#: Steps of the search for seats of sources. Mostly a few are enough; sources that contradict each other take them all.
_STEPS = 1000
#: Moves that are compared in a step.
_MOVES = 100
#: Share of steps that take any move, once the best one has brought no gain: it leads out of circles.
_NOISE = 0.3


@dataclass(frozen=True)
class Recording:
    """One recording and its names: ``clips`` are several where the same audio is there several times."""

    clips: tuple[Clip, ...]

    @property
    def sensors(self) -> frozenset[int]:
        """The sensors that its clips are said to be from; more than one is a fault of the data."""
        return frozenset(clip.sensor for clip in self.clips)

    @property
    def sources(self) -> frozenset[str]:
        """The classes heard in any of its clips."""
        return frozenset(source for clip in self.clips for source in clip.sources)


class Seats:
    """Which set each recording is in.

    ``place``: set of each of ``recordings``, by position. A move is {position: new set}.
    """

    def __init__(self, recordings: Sequence[Recording], place: Sequence[str]) -> None:
        self.recordings, self.place = recordings, list(place)
        self.sensors = [recording.sensors for recording in recordings]
        self.sources = [recording.sources for recording in recordings]
        self.count: Counter[tuple[str, object]] = Counter()  # (set, sensor or source) → recordings
        for position, name in enumerate(place):
            self._count(position, name, 1)
        self.total = Counter(source for sources in self.sources for source in sources)

    def seat_sensors(self) -> None:
        """A set without a sensor takes a recording from the set where that sensor has most.

        Raises ValueError where that cannot be, as recordings that bear two sensors' names are too many.
        """
        for sensor in sorted({sensor for sensors in self.sensors for sensor in sensors}):
            for name in ("train", "valid", "test"):
                if not self.count[name, sensor]:
                    self._move(self._spare_of(sensor, name))

    def seat_sources(self, seed: int) -> None:
        """Seat as many sources as can be, mostly by swapping two recordings of a sensor, which keeps the sets' sizes.

        A search by least conflicts (Minton et al. 1992), with noise (Selman et al. 1994): the best move for one missing
        seat at a time, even one that takes away another. The best division met is kept.
        """
        draw = random.Random(seed)
        best, least, stuck = list(self.place), self.missing(), False
        for _ in range(_STEPS):
            missing = self._vacant()
            if not missing:
                break
            source, name = draw.choice(missing)
            moves = list(self._moves_into(source, name))
            moves = draw.sample(moves, min(len(moves), _MOVES))
            if not moves:
                continue
            cost, _, move = min(((self._cost(move), draw.random(), move) for move in moves), key=itemgetter(0, 1))
            stuck = stuck or cost[:3] >= self.missing()
            self._move(draw.choice(moves) if stuck and draw.random() < _NOISE else move)
            if self.missing() < least:
                best, least = list(self.place), self.missing()
        self._move(dict(enumerate(best)))

    def avoid_lone_row(self) -> None:
        """Move a recording from train to valid, or else back, where train's last batch would have a single clip."""
        for source, target in (("train", "valid"), ("valid", "train")):
            clips = sum(len(r.clips) for r, name in zip(self.recordings, self.place, strict=True) if name == "train")
            if not has_lone_row(clips):
                return
            sign = -1 if source == "train" else 1
            moves = [
                # The sensor with most in the set, and of that the last recording.
                (-min(self.count[source, sensor] for sensor in self.sensors[position]), -position, {position: target})
                for position, name in enumerate(self.place)
                if name == source and not has_lone_row(clips + sign * len(self.recordings[position].clips))
            ]
            now = self.missing()
            fitting = [move for move in moves if self._keeps_sensors(move[2]) and self._missing_after(move[2]) <= now]
            if fitting:
                self._move(min(fitting)[2])

    def missing(self) -> tuple[int, int, int]:
        """How many seats are missing, the worst first: of sources that cannot be both learned and measured though they
        have two recordings, of sources that cannot be validated, and of those with a single recording."""
        vacant = self._vacant()
        single = sum(self.total[source] == 1 for source, _ in vacant)
        valid = sum(name == "valid" for _, name in vacant)
        return len(vacant) - single - valid, valid, single

    def _vacant(self) -> list[tuple[str, str]]:
        return [
            (source, name)
            for source, total in sorted(self.total.items())
            for name in _ORDER[:total]
            if not self.count[name, source]
        ]

    def _spare_of(self, sensor: int, target: str) -> dict[int, str]:
        names = sorted(("train", "valid", "test"), key=lambda name: -self.count[name, sensor])
        for name in names:
            for position in reversed(range(len(self.place))):
                move = {position: target}
                if self.place[position] == name and sensor in self.sensors[position] and self._keeps_sensors(move):
                    return move
        raise ValueError(
            f"sensor {sensor} cannot have a clip in each set, as its recordings are also under other sensors' names; "
            "remove the wrong rows from annotations.csv"
        )

    def _moves_into(self, source: str, target: str) -> Iterator[dict[int, str]]:
        there = [position for position, name in enumerate(self.place) if name == target]
        for position, name in enumerate(self.place):
            if name != target and source in self.sources[position]:
                swaps = [other for other in there if self.sensors[other] == self.sensors[position]]
                yield from ({position: target, other: name} for other in swaps)
                if self._keeps_sensors({position: target}):
                    yield {position: target}

    def _keeps_sensors(self, move: dict[int, str]) -> bool:
        """Whether no sensor loses its last recording in a set. For moves of one recording."""
        return all(self.count[self.place[p], sensor] > 1 for p in move for sensor in self.sensors[p])

    def _cost(self, move: dict[int, str]) -> tuple[int, int, int, int, int]:
        """First what is missing after a move, then by how much it changes the sets' sizes and their sources."""
        changed: set[str] = set()
        for position in move:
            changed ^= self.sources[position]
        return (*self._missing_after(move), 2 - len(move), len(changed))

    def _missing_after(self, move: dict[int, str]) -> tuple[int, int, int]:
        before = {position: self.place[position] for position in move}
        self._move(move)
        missing = self.missing()
        self._move(before)
        return missing

    def _move(self, move: dict[int, str]) -> None:
        for position, name in move.items():
            self._count(position, self.place[position], -1)
            self._count(position, name, 1)
            self.place[position] = name

    def _count(self, position: int, name: str, by: int) -> None:
        for label in (*self.sensors[position], *self.sources[position]):
            self.count[name, label] += by
