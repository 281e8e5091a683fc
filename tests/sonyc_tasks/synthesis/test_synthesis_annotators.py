"""Annotators: who hears what, and how the rows say so."""

from __future__ import annotations

import numpy as np

from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS, CONTEXT, FINE, coarse_of
from sonyc_tasks.synthesis import annotators
from sonyc_tasks.synthesis.annotators import EXPERT, annotate, audibility, labels, make_volunteer
from sonyc_tasks.synthesis.scenes import Event, draw_scene

CLIP: annotators.Context = {column: 0 for column in CONTEXT if column != "annotator_id"}
VOLUNTEERS = [make_volunteer(np.random.default_rng([3, number]), number) for number in range(1, 21)]


def event(fine: str, snr: float, distance: float = 10.0) -> Event:
    return Event(fine, fine, 0.0, 5.0, snr, distance, 0)


def dicts(events: list[Event], agreed: bool, seed: int) -> list[dict]:
    rows = annotate(np.random.default_rng(seed), CLIP, events, VOLUNTEERS, agreed)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def test_rows_of_a_clip_are_consistent() -> None:
    rng = np.random.default_rng(0)
    for seed in range(60):
        rows = dicts(draw_scene(rng, 10.0), seed % 3 == 0, seed)
        people = [row["annotator_id"] for row in rows]
        assert len([person for person in people if person > 0]) == 3
        assert len(set(people)) == len(people)
        assert (people[0] == 0) == (seed % 3 == 0)
        for row in rows:
            for tag in FINE:
                known = row[f"{tag}_proximity"] in {"near", "far", "notsure"}
                assert row[f"{tag}_presence"] in {0, 1}
                assert known == (row[f"{tag}_presence"] == 1)
                assert known or row[f"{tag}_proximity"] == -1
            for coarse in COARSE:
                fine = [row[f"{tag}_presence"] for tag in FINE if coarse_of(tag) == coarse]
                assert row[f"{coarse}_presence"] == max(fine)


def share(snr: float, coarse: str = "8_dog", others: tuple[Event, ...] = ()) -> float:
    events = [event("8-1_dog-barking-whining", snr), *others] if snr > -90 else []
    rows = [row for seed in range(150) for row in dicts(events, False, seed)]
    return float(np.mean([row[f"{coarse}_presence"] for row in rows]))


def test_loud_is_heard_quiet_is_missed_and_silence_imagined() -> None:
    nothing, faint, clear = share(-99), share(3.0), share(18.0)
    assert 0 < share(-99, "1_engine") < 0.25
    assert nothing < 0.05 < faint < 0.8
    assert clear > 0.95


def test_loud_sources_mask_quiet_ones() -> None:
    siren = event("5-3_siren", 18.0)
    assert audibility([event("8-1_dog-barking-whining", 5.0), siren])[0] < 5.0
    assert audibility([event("8-1_dog-barking-whining", 5.0)]) == [5.0]
    assert share(5.0, others=(siren,)) < share(5.0) - 0.1


def test_volunteers_disagree_on_presence_and_on_names() -> None:
    rng = np.random.default_rng(1)
    presence = names = 0
    for seed in range(60):
        rows = dicts(draw_scene(rng, 10.0), False, seed)
        presence += any(len({row[f"{coarse}_presence"] for row in rows}) > 1 for coarse in COARSE)
        for coarse in COARSE:
            if all(row[f"{coarse}_presence"] for row in rows):
                tags = [f"{tag}_presence" for tag in FINE if coarse_of(tag) == coarse]
                names += len({tuple(row[tag] for tag in tags) for row in rows}) > 1
    assert 10 < presence < 60
    assert names > 5


def test_an_open_tag_is_used_where_the_name_is_unsure() -> None:
    tags = [tag for tag in FINE if tag[0] == "5"]
    rows = [labels(np.random.default_rng(seed), VOLUNTEERS[0], [event("5-1_car-horn", 9.0)]) for seed in range(200)]
    used = {tag: sum(row[f"{tag}_presence"] == 1 for row in rows) for tag in tags}
    assert used["5-1_car-horn"] > used["5-X_other-unknown-alert-signal"] > 5


def test_experts_are_right_more_often() -> None:
    rng, wrong = np.random.default_rng(2), {"expert": 0, "volunteer": 0}
    for seed in range(100):
        scene = draw_scene(rng, 10.0)
        truth = {event.coarse for event in scene}
        for name, listener in (("expert", EXPERT), ("volunteer", VOLUNTEERS[seed % 20])):
            row = labels(np.random.default_rng(seed), listener, scene)
            wrong[name] += sum(row[f"{coarse}_presence"] != int(coarse in truth) for coarse in COARSE)
    assert wrong["expert"] < 0.6 * wrong["volunteer"]


def test_near_and_far_follow_the_distance() -> None:
    def near(distance: float) -> float:
        rows = dicts([event("8-1_dog-barking-whining", 18.0, distance)], True, 1)
        rows += [
            row for seed in range(60) for row in dicts([event("8-1_dog-barking-whining", 18.0, distance)], False, seed)
        ]
        return float(np.mean([row["8-1_dog-barking-whining_proximity"] == "near" for row in rows]))

    assert near(5.0) > 0.5
    assert near(100.0) < 0.1
