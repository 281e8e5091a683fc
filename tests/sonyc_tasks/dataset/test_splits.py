from __future__ import annotations

import hashlib
import json
import random
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.splits import SensorSplit, probe_split, published_split, sensor_split
from sonyc_tasks.dataset.taxonomy import COARSE


def clips_of(counts: dict[int, int]) -> list[Clip]:
    """The n-th clip of a sensor has class n mod 8, and every third one music too."""
    clips = []
    for sensor, count in counts.items():
        for n in range(count):
            sources = {COARSE[n % 8]} | ({"6_music"} if n % 3 == 0 else set())
            clips.append(Clip(f"{sensor:02d}_{n:04d}.wav", sensor, Path("x"), tuple(sorted(sources))))
    return clips


# ---------------------------------------------------------------------------------------------------- sensors


@given(st.dictionaries(st.integers(0, 99), st.integers(20, 500), min_size=4, max_size=60), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_sensors_are_divided_completely_and_the_same_way_each_time(counts: dict[int, int], seed: int) -> None:
    split = sensor_split(counts, seed=seed)
    assert sorted(split.sensors) == sorted(counts)
    assert len(split.train) >= 1
    assert len(split.valid) >= 1
    assert len(split.probe) >= 2
    assert split == sensor_split(dict(reversed(counts.items())), seed=seed)


@given(st.dictionaries(st.integers(0, 99), st.integers(0, 60), max_size=40), st.integers(2, 30), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_no_sensor_serves_twice_or_below_its_need(counts: dict[int, int], least: int, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            split = sensor_split(counts, min_probe_clips=least, seed=seed)
        except ValueError:
            return  # not enough sensors
    assert len(set(split.sensors)) == len(split.sensors)
    assert all(counts[sensor] >= 2 for sensor in split.sensors)
    assert all(counts[sensor] >= least for sensor in split.probe)


def test_default_sizes_are_those_of_the_paper() -> None:
    split = sensor_split(dict.fromkeys(range(56), 100))
    assert (len(split.train), len(split.valid), len(split.probe)) == (39, 5, 12)
    assert split.rule == (
        "12 probe sensors drawn from the 56 with at least 20 clips; "
        "then 5 valid and 39 train sensors from the others with at least 2"
    )
    assert sensor_split(dict.fromkeys(range(56), 100), seed=1) != split


def test_sizes_can_be_given() -> None:
    split = sensor_split(dict.fromkeys(range(10), 100), train=3, valid=2, probe=4)
    assert (len(split.train), len(split.valid), len(split.probe)) == (3, 2, 4)


def test_sensors_without_a_pair_are_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="7, 8"):
        split = sensor_split({**dict.fromkeys(range(6), 50), 7: 1, 8: 0})
    assert not {7, 8} & set(split.sensors)


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        (dict.fromkeys(range(3), 50), {}, "1 train, 1 valid and 2 probe.* 3 sensors"),
        (dict.fromkeys(range(9), 50), {"train": 8}, "8 train, 1 valid and 2 probe.* 9 sensors"),
        (dict.fromkeys(range(9), 50), {"probe": 1}, r"\b1 probe.*\b2\b"),
        (dict.fromkeys(range(9), 50), {"valid": 0}, r"\b0 valid.*\b1\b"),
        (dict.fromkeys(range(9), 19), {}, r"\b0\b.*\b20\b.*\b2\b.*min_probe_clips"),
        (dict.fromkeys(range(9), 50), {"min_probe_clips": 2}, r"min_probe_clips.*\b2\b.*\b3\b"),
    ],
)
def test_impossible_draws_say_what_to_change(counts: dict[int, int], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sensor_split(counts, **options)


# ---------------------------------------------------------------------------------------------------- files


def test_a_split_survives_its_file(tmp_path: Path) -> None:
    split = sensor_split(dict.fromkeys(range(20), 50), seed=5)
    split.save(tmp_path / "deep" / "split.json")
    assert SensorSplit.load(tmp_path / "deep" / "split.json") == split
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["split.json"]
    assert json.loads((tmp_path / "deep" / "split.json").read_text())["seed"] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"split\.json"),
        ("[]", r"split\.json"),
        ('{"train": [1], "valid": [2]}', r"split\.json.*train, valid, probe"),
        ('{"train": [1], "valid": [2], "probe": ["3"]}', r"split\.json.*train, valid, probe"),
        ('{"train": [1, 4], "valid": [2], "probe": [3, 4]}', r"split\.json.*\b4\b"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        SensorSplit.load(tmp_path / "split.json")


def test_a_missing_file_and_unknown_sensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.json"):
        SensorSplit.load(tmp_path / "none.json")
    split = SensorSplit((1,), (2,), (3, 4))
    split.check([1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="2, 4"):
        split.check([1, 3])


def test_the_published_split_is_what_its_rule_says() -> None:
    split = published_split()
    content = json.loads((Path(sensor_split.__code__.co_filename).parent / "sonyc_ust_v2_split.json").read_text())
    clips = {int(sensor): count for sensor, count in content["clips_per_sensor"].items()}
    assert (len(clips), sum(clips.values())) == (56, 18_510)
    with pytest.warns(UserWarning, match="sensors 54"):
        drawn = sensor_split(clips, seed=split.seed or 0)
    assert (drawn.train, drawn.valid, drawn.probe) == (split.train, split.valid, split.probe)
    assert drawn.rule in split.rule
    for part, pairs in (("train", 39_000), ("valid", 6_000), ("probe", 11_000)):
        assert abs(3 * sum(clips[sensor] for sensor in content[part]) - pairs) < 1000


# ---------------------------------------------------------------------------------------------------- clips


@given(
    st.dictionaries(st.integers(0, 60), st.integers(3, 40), min_size=2, max_size=8),
    st.integers(0, 2**31),
    st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33)]),
)
@settings(max_examples=40, deadline=None)
def test_every_clip_is_in_one_set_and_every_sensor_in_all(
    counts: dict[int, int], seed: int, fractions: tuple[float, float, float]
) -> None:
    clips = clips_of(counts)
    sets = probe_split(clips, fractions=fractions, seed=seed)
    assert list(sets) == ["train", "valid", "test"]
    assert sorted(clip.name for members in sets.values() for clip in members) == sorted(clip.name for clip in clips)
    for members in sets.values():
        assert {clip.sensor for clip in members} == set(counts)
        assert [clips.index(clip) for clip in members] == sorted(clips.index(clip) for clip in members)
    assert sets == probe_split(clips, fractions=fractions, seed=seed)


def test_sets_keep_the_shares_of_sensors_and_sources() -> None:
    clips = clips_of({1: 400, 2: 200, 5: 100})
    sets = probe_split(clips)
    for name, share in (("train", 0.6), ("valid", 0.2), ("test", 0.2)):
        assert abs(len(sets[name]) - share * len(clips)) <= 0.02 * len(clips)
        for of in (lambda clip: [clip.sensor], lambda clip: clip.sources):
            whole, part = (Counter(label for clip in group for label in of(clip)) for group in (clips, sets[name]))
            for label, count in whole.items():
                assert abs(part[label] - share * count) <= 0.15 * share * count + 1


def spread(draw: random.Random, counts: dict[int, int], shares: Sequence[float]) -> list[Clip]:
    return [
        clip_of(sensor, n, [source for source, share in zip(COARSE, shares, strict=True) if draw.random() < share])
        for sensor, count in counts.items()
        for n in range(count)
    ]


def clip_of(sensor: int, n: int, sources: Sequence[str]) -> Clip:
    name = f"{sensor:02d}_{n:04d}.wav"
    return Clip(name, sensor, Path(name), tuple(sources))


FEW_EACH = {sensor: 3 + sensor % 2 for sensor in range(30)}  # some have to be moved


@pytest.mark.parametrize(
    ("counts", "seed", "digest"),
    [
        (dict.fromkeys(range(5), 60), 0, "26acd90d68cebca43ba1b0c54ee64837f6cd796a20f90e48d70346aaf3641c15"),
        (dict.fromkeys(range(5), 60), 1, "62c6f13fcfbb15f0a4e98a16ca77bfbcaa9461bcdc29a53c5b0e88482b9e5c7b"),
        (
            {sensor: 3 + sensor % 2 for sensor in range(30)},
            0,
            "374a73ab58762f9b6fd39195f384dfda134599ca00c9ae8d9cc9c81a318acc67",
        ),  # sensors have to be moved
        (
            {sensor: 3 + sensor % 2 for sensor in range(30)},
            1,
            "a7665c71730bdd41a327fcce1478d1065e8d644a94d5e5302d58133c66eb260f",
        ),
    ],
)
def test_sets_are_those_of_version_0_1(counts: dict[int, int], seed: int, digest: str) -> None:
    """Stored from commit 4191335: published numbers stand on these divisions. Nothing here is rare or there twice."""
    sets = probe_split(spread(random.Random(7), counts, [0.5] * 8), seed=seed)
    names = json.dumps({name: [clip.name for clip in members] for name, members in sets.items()})
    assert hashlib.sha256(names.encode()).hexdigest() == digest


@given(st.integers(0, 2**31), st.lists(st.integers(16, 30), min_size=2, max_size=6), st.lists(st.integers(1, 30)))
@settings(max_examples=40, deadline=None)
def test_duplicates_stay_together_and_rare_sources_are_learned_and_measured(
    seed: int, counts: list[int], copied: list[int]
) -> None:
    draw = random.Random(seed)
    clips = spread(draw, dict(enumerate(counts)), [0.5] * 5 + [0] * 3)  # the common sources are not rare by chance
    for source in COARSE[5:]:  # two clips each, which have no other rare source
        free = [n for n, clip in enumerate(clips) if not set(clip.sources) & set(COARSE[5:])]
        for n in draw.sample(free, 2):
            clips[n] = replace(clips[n], sources=(*clips[n].sources, source))
    groups = [
        [clips[n], *(replace(clips[n], name=f"{copy}-{clips[n].name}") for copy in range(1 + n % 2))]
        for n in sorted({n % len(clips) for n in copied})
    ]
    everything = clips + [clip for group in groups for clip in group[1:]]
    draw.shuffle(everything)
    sets = probe_split(everything, seed=seed, duplicates=groups)
    place = {clip.name: name for name, members in sets.items() for clip in members}
    assert len(place) == sum(map(len, sets.values())) == len(everything)
    assert all(len({place[clip.name] for clip in group}) == 1 for group in groups)
    for name, members in sets.items():
        assert {clip.sensor for clip in members} == set(range(len(counts))), name
    for source in COARSE[5:]:
        assert {place[clip.name] for clip in clips if source in clip.sources} == {"train", "test"}
    recordings = Counter(place[clip.name] for clip in clips)
    for name, share in (("train", 0.6), ("valid", 0.2), ("test", 0.2)):
        assert abs(recordings[name] - share * len(clips)) <= len(counts) + 4


def test_train_never_ends_in_a_batch_of_one() -> None:
    sizes = {}
    for total in range(1704, 1713):
        sets = probe_split(clips_of({1: 700, 2: total - 700}))
        sizes[total] = len(sets["train"])
        assert sum(map(len, sets.values())) == total
    assert 1025 not in sizes.values()
    assert min(sizes.values()) < 1025 < max(sizes.values())


def test_another_seed_gives_other_sets() -> None:
    clips = clips_of({1: 30, 2: 30})
    assert probe_split(clips, seed=0) != probe_split(clips, seed=1)


@pytest.mark.parametrize(
    ("counts", "fractions", "message"),
    [
        ({1: 30}, (0.6, 0.2, 0.2), "1 sensor"),
        ({1: 30, 2: 2}, (0.6, 0.2, 0.2), "sensor 2 .*2 clips"),
        ({1: 30, 2: 30}, (0.6, 0.2, 0.3), r"0\.6, 0\.2, 0\.3"),
        ({1: 30, 2: 30}, (0.8, 0.2, 0.0), r"0\.8, 0\.2, 0\.0"),
    ],
)
def test_impossible_sets(counts: dict[int, int], fractions: tuple[float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probe_split(clips_of(counts), fractions=fractions)
