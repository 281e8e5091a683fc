from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.division import Division, Recording
from sonyc_tasks.dataset.taxonomy import COARSE

SETS = ("test", "train", "valid")  # the order in which a source gets into the sets


def clip(name: str, sensor: int, sources: Iterable[str] = ()) -> Clip:
    return Clip(name, sensor, Path(name), tuple(sorted(sources)))


def draw_recordings(draw: random.Random) -> list[Recording]:
    """Few clips with many rare sources, which get in each other's way."""
    names = [(sensor, n) for sensor in range(draw.randint(2, 5)) for n in range(draw.randint(3, 12))]
    sources: dict[tuple[int, int], set[str]] = {name: set() for name in names}
    for source in COARSE:
        for name in draw.sample(names, min(draw.choice([1, 2, 2, 3, 4, 10]), len(names))):
            sources[name].add(source)
    return [Recording((clip(f"{sensor}_{n}", sensor, sources[sensor, n]),)) for sensor, n in names]


def weight(total: int, name: str) -> int:
    """What a gap costs, so that any number of lesser ones costs less."""
    return 1 if total == 1 else 10 if name == "valid" else 1000


def cost(recordings: Sequence[Recording], place: Sequence[str]) -> int:
    total = Counter(source for recording in recordings for source in recording.sources)
    there = {(name, source) for r, name in zip(recordings, place, strict=True) for source in r.sources}
    return sum(weight(k, name) for source, k in total.items() for name in SETS[:k] if (name, source) not in there)


def least_cost(recordings: Sequence[Recording]) -> int:
    """The least that any division with every sensor in every set can cost: an integer programme, solved exactly."""
    total = Counter(source for recording in recordings for source in recording.sources)
    wanted = [(source, name, weight(k, name)) for source, k in total.items() for name in SETS[:k]]
    places = 3 * len(recordings)
    rows, low = [], []

    def at_least_one(label: int | str, name: str, missing: int | None = None) -> None:
        row = np.zeros(places + len(wanted))
        for position, recording in enumerate(recordings):
            row[3 * position + SETS.index(name)] = label in recording.sensors or label in recording.sources
        if missing is not None:
            row[places + missing] = 1
        rows.append(row)
        low.append(1)

    for sensor in {sensor for recording in recordings for sensor in recording.sensors}:
        for name in SETS:
            at_least_one(sensor, name)
    for number, (source, name, _) in enumerate(wanted):
        at_least_one(source, name, number)
    one_set = np.zeros((len(recordings), places + len(wanted)))
    for position in range(len(recordings)):
        one_set[position, 3 * position : 3 * position + 3] = 1
    solved = milp(
        np.r_[np.zeros(places), [price for *_, price in wanted]],
        constraints=[LinearConstraint(np.array(rows), low, np.inf), LinearConstraint(one_set, 1, 1)],
        integrality=np.ones(places + len(wanted)),
        bounds=Bounds(0, 1),
    )
    return round(solved.fun)


def test_as_many_sources_are_in_the_sets_as_can_be() -> None:
    perfect = 0
    for trial in range(40):
        draw = random.Random(trial)
        recordings = draw_recordings(draw)
        division = Division(recordings, draw.choices(("train", "valid", "test"), (6, 2, 2), k=len(recordings)))
        division.ensure_sensors()
        division.ensure_sources(seed=trial)
        found = cost(recordings, division.place)
        assert found == least_cost(recordings), trial
        perfect += found == 0
        for name in SETS:
            placed = {s for r, own in zip(recordings, division.place, strict=True) if own == name for s in r.sensors}
            assert placed == {s for r in recordings for s in r.sensors}
    assert 10 < perfect < 40  # some contradict each other


def test_a_complete_division_is_left_alone() -> None:
    draw = random.Random(0)
    recordings = [Recording((clip(f"{n}", n % 3, COARSE),)) for n in range(30)]
    place = [SETS[n // 3 % 3] for n in range(30)]
    draw.shuffle(recordings)
    division = Division(recordings, place)
    division.ensure_sensors()
    before = list(division.place)
    division.ensure_sources(seed=0)
    division.avoid_lone_row()
    assert division.place == before


def test_a_source_of_two_clips_changes_places_within_its_sensor() -> None:
    recordings = [Recording((clip(f"{n}", n % 2, ["8_dog"] if n in (0, 2) else ()),)) for n in range(40)]
    place = ["train"] * 24 + ["valid"] * 8 + ["test"] * 8
    division = Division(recordings, place)
    division.ensure_sources(seed=0)
    moved = [n for n in range(40) if division.place[n] != place[n]]
    assert Counter(division.place) == Counter(place)
    assert len(moved) == 2
    assert {n % 2 for n in moved} == {0}  # the sensor of both clips
    assert sorted(division.place[n] for n in (0, 2)) == ["test", "train"]


@pytest.mark.parametrize("copies", [1, 2, 3])
@pytest.mark.parametrize("train", [1023, 1024, 1025, 1026, 2049])
def test_no_last_batch_of_one(train: int, copies: int) -> None:
    """Of a set that is as many clips, each recording there ``copies`` times (the last one perhaps fewer times)."""
    groups = [min(copies, train - done) for done in range(0, train, copies)]
    recordings = [Recording(tuple(clip(f"{n}_{c}", n % 4) for c in range(size))) for n, size in enumerate(groups)]
    rest = [Recording((clip(f"r{n}", n % 4),)) for n in range(20)]
    place = ["train"] * len(recordings) + ["valid"] * 10 + ["test"] * 10
    division = Division([*recordings, *rest], place)
    division.avoid_lone_row()
    now = sum(len(r.clips) for r, name in zip(division.recordings, division.place, strict=True) if name == "train")
    assert now % 1024 != 1
    assert (division.place == place) == (train % 1024 != 1)
    assert abs(now - train) <= copies


def test_the_last_batch_is_mended_without_opening_a_gap() -> None:
    """Sensor 0 has one clip in train, and the only clip of a source there is the last of sensor 1."""
    recordings = [Recording((clip(f"{n}", min(n, 1), ["8_dog"] if n == 1024 else ()),)) for n in range(1025)]
    rest = [Recording((clip(f"r{n}", n % 2, ["8_dog"] if n < 4 else ()),)) for n in range(8)]
    place = ["train"] * 1025 + ["valid"] * 2 + ["test"] * 2 + ["valid"] * 2 + ["test"] * 2
    division = Division([*recordings, *rest], place)
    division.avoid_lone_row()
    assert [n for n in range(len(place)) if division.place[n] != place[n]] == [1023]


def test_sensors_that_share_their_recordings_cannot_all_be_in_every_set() -> None:
    """Each of three sets would need two of these five recordings."""
    bearers: list[tuple[int, ...]] = [(1, 2), (1, 2), (1, 3), (2, 3), (3,)]
    recordings = [Recording(tuple(clip(f"{n}_{s}", s) for s in own)) for n, own in enumerate(bearers)]
    with pytest.raises(ValueError, match=r"sensor \d .* annotations\.csv"):
        Division(recordings, ["train"] * 5).ensure_sensors()
