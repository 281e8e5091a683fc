"""Corrections to a stratified division of recordings into train, valid and test.

Stratification preserves the shares of frequent labels. Labels of few recordings stay where they happen to fall, mostly
in train, and batches are not considered. Three corrections, each applied only if needed, so that most divisions stay as
they were drawn:

1. every sensor is in every set;
2. every source is in as many sets as it has recordings: in test first, then train, then valid;
3. train does not have a size that crashes heareval's training (`sonyc_tasks.tasks.probe_batches`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.tasks.probe_batches import has_lone_row

#: The order in which a source with few recordings gets into the sets.
_ORDER = ("test", "train", "valid")
#: Steps of the search for sources. A few are usually enough; contradicting sources take all of them.
_STEPS = 1000
#: Moves compared in a step.
_MOVES = 100
#: Share of steps with a random move, once the best move has brought no gain; it leads out of cycles.
_NOISE = 0.3


@dataclass(frozen=True)
class Recording:
    """One recording; it has several ``clips`` if the same audio has several names."""

    clips: tuple[Clip, ...]

    @property
    def sensors(self) -> frozenset[int]:
        """The sensors of its clips; more than one is an error of the data."""
        return frozenset(clip.sensor for clip in self.clips)

    @property
    def sources(self) -> frozenset[str]:
        """The classes of any of its clips."""
        return frozenset(source for clip in self.clips for source in clip.sources)


class Division:
    """Which set each recording is in. A move is {position: new set}.

    Args:
        recordings: The recordings.
        place: The set of each recording.
    """

    def __init__(self, recordings: Sequence[Recording], place: Sequence[str]) -> None:
        self.recordings, self.place = recordings, list(place)
        self.sensors = [recording.sensors for recording in recordings]
        self.sources = [recording.sources for recording in recordings]
        self.count: Counter[tuple[str, object]] = Counter()  # (set, sensor or source) → recordings
        for position, name in enumerate(place):
            self._count(position, name, 1)
        self.total = Counter(source for sources in self.sources for source in sources)

    def ensure_sensors(self) -> None:
        """Move recordings so that every sensor is in every set, from the set where that sensor has most.

        Raises:
            ValueError: It is impossible, because too many recordings have the names of two sensors.
        """
        for sensor in sorted({sensor for sensors in self.sensors for sensor in sensors}):
            for name in ("train", "valid", "test"):
                if not self.count[name, sensor]:
                    self._move(self._spare_of(sensor, name))

    def ensure_sources(self, seed: int) -> None:
        """Get sources into the sets, as many as possible, mostly by swaps within a sensor, which keep the sets' sizes.

        A min-conflicts search (Minton et al. 1992) with noise (Selman et al. 1994): it takes the best move for one gap
        at a time, even if it opens another, and keeps the best division found.
        """
        draw = random.Random(seed)
        best, least, stuck = list(self.place), self.gaps(), False
        for _ in range(_STEPS):
            gaps = self._list_gaps()
            if not gaps:
                break
            source, name = draw.choice(gaps)
            moves = list(self._moves_into(source, name))
            moves = draw.sample(moves, min(len(moves), _MOVES))
            if not moves:
                continue
            cost, _, move = min(((self._cost(move), draw.random(), move) for move in moves), key=itemgetter(0, 1))
            stuck = stuck or cost[:3] >= self.gaps()
            self._move(draw.choice(moves) if stuck and draw.random() < _NOISE else move)
            if self.gaps() < least:
                best, least = list(self.place), self.gaps()
        self._move(dict(enumerate(best)))

    def avoid_lone_row(self) -> None:
        """Move a recording from train to valid, or from valid to train, if train's last batch had a single clip."""
        for source, target in (("train", "valid"), ("valid", "train")):
            clips = sum(len(r.clips) for r, name in zip(self.recordings, self.place, strict=True) if name == "train")
            if not has_lone_row(clips):
                return
            sign = -1 if source == "train" else 1
            moves = [
                # Prefer the sensor with most recordings in the set, and its last recording.
                (-min(self.count[source, sensor] for sensor in self.sensors[position]), -position, {position: target})
                for position, name in enumerate(self.place)
                if name == source and not has_lone_row(clips + sign * len(self.recordings[position].clips))
            ]
            now = self.gaps()
            fitting = [move for move in moves if self._keeps_sensors(move[2]) and self._gaps_after(move[2]) <= now]
            if fitting:
                self._move(min(fitting)[2])

    def gaps(self) -> tuple[int, int, int]:
        """Count the gaps, sets that lack a source, the worst first.

        Returns:
            Gaps of sources that cannot be both learned and measured although they have two recordings; of sources that
            cannot be validated; and of sources with a single recording.
        """
        gaps = self._list_gaps()
        single = sum(self.total[source] == 1 for source, _ in gaps)
        valid = sum(name == "valid" for _, name in gaps)
        return len(gaps) - single - valid, valid, single

    def _list_gaps(self) -> list[tuple[str, str]]:
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
            f"sensor {sensor} cannot have a clip in each set, as its recordings have other sensors' names, too; remove "
            "the wrong rows from annotations.csv"
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
        """Return whether every sensor keeps a recording in its set after a move of one recording."""
        return all(self.count[self.place[p], sensor] > 1 for p in move for sensor in self.sensors[p])

    def _cost(self, move: dict[int, str]) -> tuple[int, int, int, int, int]:
        """Return the gaps after a move, then how much it changes the sizes and the sources of the sets."""
        changed: set[str] = set()
        for position in move:
            changed ^= self.sources[position]
        return (*self._gaps_after(move), 2 - len(move), len(changed))

    def _gaps_after(self, move: dict[int, str]) -> tuple[int, int, int]:
        before = {position: self.place[position] for position in move}
        self._move(move)
        gaps = self.gaps()
        self._move(before)
        return gaps

    def _move(self, move: dict[int, str]) -> None:
        for position, name in move.items():
            self._count(position, self.place[position], -1)
            self._count(position, name, 1)
            self.place[position] = name

    def _count(self, position: int, name: str, by: int) -> None:
        for label in (*self.sensors[position], *self.sources[position]):
            self.count[name, label] += by
