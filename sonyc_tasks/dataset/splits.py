"""Which sensors and clips serve for what: pretraining, model selection, and the probes that measure the embeddings.

Two splits, one inside the other. Whole **sensors** are divided first, so that no place heard in pretraining is heard
again in the evaluation. The **clips** of the probe sensors are then divided into the train, valid and test sets of the
probes, where every sensor and, as far as possible, every source keeps its share.

The paper fixes the counts (39, 5 and 12 of 56 sensors), not which sensors. :func:`published_split` is the choice that
this project reports its results on; ``sonyc_ust_v2_split.json`` holds it together with the rule that chose it.
"""

from __future__ import annotations

import json
import os
import random
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.seats import Recording, Seats
from sonyc_tasks.dataset.taxonomy import COARSE

PARTS = ("train", "valid", "probe")
_PUBLISHED = {"train": 39, "valid": 5, "probe": 12}
#: A sensor's clips go into three probe sets, and none of them may be without it.
LEAST_PROBE_CLIPS = 3
_DRAWS = 10


@dataclass(frozen=True)
class SensorSplit:
    """Sensor ids for pretraining (train, valid) and for the probes; sorted, no sensor in two of them.

    ``rule`` says in words how the sensors were chosen and ``seed`` with which seed, so that the file is its own record.

    >>> SensorSplit(train=(3, 1), valid=(7,), probe=(5, 4)).train
    (1, 3)
    """

    train: tuple[int, ...]
    valid: tuple[int, ...]
    probe: tuple[int, ...]
    rule: str = "chosen by hand"
    seed: int | None = None

    def __post_init__(self) -> None:
        for part in PARTS:
            object.__setattr__(self, part, tuple(sorted(getattr(self, part))))
        seen = Counter(self.sensors)
        twice = sorted(sensor for sensor, count in seen.items() if count > 1)
        if twice:
            raise ValueError(f"sensors {_listed(twice)} stand in a split twice; keep each sensor in one part only")

    @property
    def sensors(self) -> tuple[int, ...]:
        """All sensors of the split."""
        return self.train + self.valid + self.probe

    def check(self, known: Iterable[int]) -> None:
        """Raise ValueError if the split names a sensor that is not among ``known``, those of the data set."""
        unknown = sorted(set(self.sensors) - set(known))
        if unknown:
            raise ValueError(
                f"the sensor split names sensors {_listed(unknown)}, which have no clips in this data set; "
                "use the split made for it, or draw a new one"
            )

    def save(self, path: str | Path) -> None:
        """Write the split as JSON; the file appears whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> SensorSplit:
        """Read what :meth:`save` wrote, or a JSON object written by hand with ``train``, ``valid`` and ``probe``."""
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"there is no sensor split {path}; check the path")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error}); write it again, or take another file") from None
        if not isinstance(content, dict) or not all(_is_id_list(content.get(part)) for part in PARTS):
            raise ValueError(f"{path} is no sensor split; it needs lists of sensor ids under {_listed(PARTS)}")
        try:
            parts = {part: tuple(content[part]) for part in PARTS}
            return cls(**parts, rule=str(content.get("rule", cls.rule)), seed=content.get("seed"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def published_split() -> SensorSplit:
    """The split of SONYC-UST-V2's sensors that this project's published results stand on."""
    return SensorSplit.load(Path(__file__).with_name("sonyc_ust_v2_split.json"))


def sensor_split(
    clips_per_sensor: Mapping[int, int],
    *,
    train: int | None = None,
    valid: int | None = None,
    probe: int | None = None,
    min_probe_clips: int = 20,
    seed: int = 0,
) -> SensorSplit:
    """Draw a :class:`SensorSplit` at random, from how many clips each sensor has.

    ``train``, ``valid`` and ``probe`` are numbers of sensors. By default ``probe`` and ``valid`` are 12/56 and 5/56 of
    the usable sensors, as in the paper, and ``train`` is all that are left. Probe sensors need ``min_probe_clips``
    clips, or their test sets would be too small to mean anything; the others need 2, to form one pair. Sensors with
    fewer than 2 clips are left out, with a warning. The same arguments always give the same split.

    Raises ValueError where the sensors do not suffice.
    """
    single = sorted(sensor for sensor, clips in clips_per_sensor.items() if clips < 2)
    if single:
        warnings.warn(f"sensors {_listed(single)} have fewer than 2 clips and are left out of the split", stacklevel=2)
    usable = sorted(sensor for sensor, clips in clips_per_sensor.items() if clips >= 2)
    counts = _part_sizes(len(usable), {"train": train, "valid": valid, "probe": probe})
    if min_probe_clips < LEAST_PROBE_CLIPS:
        raise ValueError(
            f"min_probe_clips is {min_probe_clips}; ask for {LEAST_PROBE_CLIPS} or more, one per probe set"
        )
    eligible = [sensor for sensor in usable if clips_per_sensor[sensor] >= min_probe_clips]
    if len(eligible) < counts["probe"]:
        raise ValueError(
            f"only {len(eligible)} sensors have the {min_probe_clips} clips that a probe sensor needs, and "
            f"{counts['probe']} are wanted; lower min_probe_clips or the number of probe sensors"
        )
    # The standard library's generator, because its stream is the same on every machine and in every version.
    draw = random.Random(seed)
    probe_sensors = draw.sample(eligible, counts["probe"])
    others = [sensor for sensor in usable if sensor not in probe_sensors]
    draw.shuffle(others)
    return SensorSplit(
        train=tuple(others[counts["valid"] : counts["valid"] + counts["train"]]),
        valid=tuple(others[: counts["valid"]]),
        probe=tuple(probe_sensors),
        rule=(
            f"{counts['probe']} probe sensors drawn from the {len(eligible)} with at least {min_probe_clips} clips; "
            f"then {counts['valid']} valid and {counts['train']} train sensors from the others with at least 2"
        ),
        seed=seed,
    )


def probe_split(
    clips: Sequence[Clip],
    *,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    duplicates: Sequence[Sequence[Clip]] = (),
) -> dict[str, list[Clip]]:
    """Divide the probe sensors' clips into ``train``, ``valid`` and ``test``, stratified by sensor and source together.

    Iterative stratification (Sechidis et al. 2011) treats the sensor, one-hot, and the sources, multi-hot, as labels of
    one multilabel problem: the test set is split off first, then the valid set. It prefers the labels' shares to the
    set's size, so of ten draws the one nearest to that size is taken, and sets may still differ from it by a few clips.
    Where it leaves a sensor out of a set, or a source that few clips have, or gives train a size that ends heareval's
    training, a few clips change places (`sonyc_tasks.dataset.seats`): every sensor is in every set, a source of two
    clips or more in train and in test, unless two sources contradict each other. Within a set, clips keep the order of
    ``clips``; the same clips, fractions and seed always give the same sets.

    ``duplicates``: groups of clips that are the same recording, each of which stays in one set.

    Raises ValueError for fewer than 2 sensors, a sensor with fewer than 3 recordings, or impossible fractions.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"the fractions {fractions} cannot divide clips; give three positive numbers that sum to 1")
    recordings = as_recordings(clips, duplicates)
    per_sensor = Counter(sensor for recording in recordings for sensor in recording.sensors)
    if len(per_sensor) < 2:
        raise ValueError(f"{len(per_sensor)} sensor cannot make a task of telling sensors apart; give at least 2")
    for sensor, count in sorted(per_sensor.items()):
        if count < LEAST_PROBE_CLIPS:
            raise ValueError(f"sensor {sensor} has {count} clips, too few for three sets; leave it out of the probes")

    seats = Seats(recordings, _stratified(recordings, fractions, seed))
    seats.seat_sensors()
    seats.seat_sources(seed)
    seats.avoid_lone_row()
    place = {clip: name for recording, name in zip(recordings, seats.place, strict=True) for clip in recording.clips}
    return {name: [clip for clip in clips if place[clip] == name] for name in ("train", "valid", "test")}


def as_recordings(clips: Sequence[Clip], duplicates: Sequence[Sequence[Clip]]) -> list[Recording]:
    """The recordings of ``clips``, in their order, where those of a group of ``duplicates`` are one."""
    first = {clip: group[0] for group in duplicates for clip in group}
    recordings: dict[Clip, list[Clip]] = {}
    for clip in clips:
        recordings.setdefault(first.get(clip, clip), []).append(clip)
    return [Recording(tuple(names)) for names in recordings.values()]


def _stratified(recordings: Sequence[Recording], fractions: Sequence[float], seed: int) -> list[str]:
    """The set of each recording."""
    import numpy as np
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    sensors = sorted({sensor for recording in recordings for sensor in recording.sensors})
    labels = np.zeros((len(recordings), len(sensors) + len(COARSE)), dtype=int)
    for row, recording in enumerate(recordings):
        for sensor in recording.sensors:
            labels[row, sensors.index(sensor)] = 1
        for source in recording.sources:
            labels[row, len(sensors) + COARSE.index(source)] = 1

    def split_off(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        size = min(max(1, round(share * len(rows))), len(rows) - 1)
        splitter = MultilabelStratifiedShuffleSplit(
            n_splits=_DRAWS, test_size=size, train_size=len(rows) - size, random_state=seed
        )
        draws = splitter.split(np.zeros(len(rows)), labels[rows])
        kept, taken = min(draws, key=lambda draw: abs(len(draw[1]) - size))
        return rows[kept], rows[taken]

    rest, test = split_off(np.arange(len(recordings)), fractions[2])
    _, valid = split_off(rest, fractions[1] / (fractions[0] + fractions[1]))
    place = np.full(len(recordings), "train", dtype=object)
    place[valid], place[test] = "valid", "test"
    return list(place)


def _part_sizes(n: int, wanted: Mapping[str, int | None]) -> dict[str, int]:
    """Sensors per part: as wanted, else the paper's share of ``n`` (but all that are left for train)."""
    least = {"train": 1, "valid": 1, "probe": 2}
    total = sum(_PUBLISHED.values())
    sizes: dict[str, int] = {}
    for part in ("probe", "valid", "train"):
        share = n - sum(sizes.values()) if part == "train" else round(n * _PUBLISHED[part] / total)
        given = wanted[part]
        sizes[part] = max(least[part], share) if given is None else given
        if sizes[part] < least[part]:
            raise ValueError(f"{sizes[part]} {part} sensors are too few; ask for at least {least[part]}")
    if sum(sizes.values()) > n:
        raise ValueError(
            f"{sizes['train']} train, {sizes['valid']} valid and {sizes['probe']} probe sensors are wanted, and only "
            f"{n} sensors have 2 clips or more; ask for fewer sensors, or give more data"
        )
    return sizes


def _is_id_list(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
