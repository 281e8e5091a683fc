"""Splits of sensors and clips into pretraining, model selection, and the probes that evaluate the embeddings.

Two nested splits. First the **sensors** are divided, so that no place of pretraining appears in the evaluation. Then
the **clips** of the probe sensors are divided into the train, valid and test sets of the probes, in which every sensor
and, as far as possible, every source keeps its share.

The paper fixes the counts (39, 5 and 12 of 56 sensors), but not which sensors. `published_split` is this project's
choice for its reported results; ``sonyc_ust_v2_split.json`` holds it with the rule behind it.
"""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.division import Division, Recording
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.files import read_json_object, write_atomic

PARTS = ("train", "valid", "probe")
_PUBLISHED = {"train": 39, "valid": 5, "probe": 12}
#: Each of the three probe sets needs a clip of every sensor.
LEAST_PROBE_CLIPS = 3
_DRAWS = 10


@dataclass(frozen=True)
class SensorSplit:
    """Sensor ids for pretraining (train, valid) and for the probes; sorted, no sensor in two of them.

    Attributes:
        rule: How the sensors were chosen, in words.
        seed: The seed of the draw, if any.

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
            raise ValueError(f"sensors {_listed(twice)} are twice in the split; keep each sensor in only one part")

    @property
    def sensors(self) -> tuple[int, ...]:
        """All sensors of the split."""
        return self.train + self.valid + self.probe

    def check(self, known: Iterable[int]) -> None:
        """Raise ValueError if the split has a sensor that is not among ``known``, those of the data set."""
        unknown = sorted(set(self.sensors) - set(known))
        if unknown:
            raise ValueError(
                f"the sensor split has sensors {_listed(unknown)} without clips in this data set; use the split made "
                "for it, or draw a new one"
            )

    def save(self, path: str | Path) -> None:
        """Write the split as JSON."""
        write_atomic(Path(path), json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> SensorSplit:
        """Read what `save` wrote, or a JSON object written by hand.

        Raises:
            ValueError: The file is missing or is not a sensor split.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"there is no sensor split {path}; check the path")
        content = read_json_object(path, "write it again, or give another file")
        if not all(_is_id_list(content.get(part)) for part in PARTS):
            raise ValueError(f"{path} is not a sensor split; write lists of sensor ids under {_listed(PARTS)}")
        try:
            parts = {part: tuple(content[part]) for part in PARTS}
            return cls(**parts, rule=str(content.get("rule", cls.rule)), seed=content.get("seed"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def published_split() -> SensorSplit:
    """Load the split of SONYC-UST-V2's sensors behind this project's published results."""
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
    """Draw a `SensorSplit` at random.

    Sensors with fewer than 2 clips, which cannot form a pair, are left out with a warning. The same arguments always
    give the same split.

    Args:
        clips_per_sensor: Sensor → number of clips.
        train: Number of training sensors; by default all the others.
        valid: Number of validation sensors; by default 5/56 of the usable sensors, as in the paper.
        probe: Number of probe sensors; by default 12/56 of the usable sensors, as in the paper.
        min_probe_clips: Clips that a probe sensor needs, for meaningful test sets.
        seed: Seed of the draw.

    Raises:
        ValueError: There are not enough sensors.
    """
    single = sorted(sensor for sensor, clips in clips_per_sensor.items() if clips < 2)
    if single:
        warnings.warn(f"sensors {_listed(single)} have fewer than 2 clips and are left out of the split", stacklevel=2)
    usable = sorted(sensor for sensor, clips in clips_per_sensor.items() if clips >= 2)
    counts = _part_sizes(len(usable), {"train": train, "valid": valid, "probe": probe})
    if min_probe_clips < LEAST_PROBE_CLIPS:
        raise ValueError(
            f"min_probe_clips is {min_probe_clips}; set it to {LEAST_PROBE_CLIPS} or more, one clip per probe set"
        )
    eligible = [sensor for sensor in usable if clips_per_sensor[sensor] >= min_probe_clips]
    if len(eligible) < counts["probe"]:
        raise ValueError(
            f"only {len(eligible)} sensors have the {min_probe_clips} clips that each of the {counts['probe']} probe "
            "sensors needs; lower min_probe_clips or the number of probe sensors"
        )
    # The standard library's generator has the same stream on every machine and in every version.
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

    Iterative stratification (Sechidis et al. 2011) treats the sensor (one-hot) and the sources (multi-hot) as labels of
    one multilabel problem: the test set is split off first, then the valid set. It favours the shares of the labels
    over the size of the set, so the draw of ten that is closest in size is taken, and may still be off by a few clips.
    Then a few clips change places if needed (`sonyc_tasks.dataset.division`), so that every sensor is in every set, a
    source with two or more clips is in train and test (unless two sources contradict each other), and the size of train
    does not crash heareval's training. The same arguments always give the same sets.

    Args:
        clips: The probe sensors' clips; each set keeps their order.
        fractions: Shares of the three sets.
        seed: Seed of the draws.
        duplicates: Groups of clips that are the same recording; each group stays in one set.

    Raises:
        ValueError: There are fewer than 2 sensors, a sensor has fewer than 3 recordings, or the fractions are
            impossible.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"the fractions {fractions} are impossible; give three positive numbers that sum to 1")
    recordings = as_recordings(clips, duplicates)
    per_sensor = Counter(sensor for recording in recordings for sensor in recording.sensors)
    if len(per_sensor) < 2:
        raise ValueError(f"{len(per_sensor)} sensor is too few for a task of telling sensors apart; give at least 2")
    for sensor, count in sorted(per_sensor.items()):
        if count < LEAST_PROBE_CLIPS:
            raise ValueError(f"sensor {sensor} has {count} clips, too few for three sets; leave it out of the probes")

    division = Division(recordings, _stratified(recordings, fractions, seed))
    division.ensure_sensors()
    division.ensure_sources(seed)
    division.avoid_lone_row()
    place = {clip: name for recording, name in zip(recordings, division.place, strict=True) for clip in recording.clips}
    return {name: [clip for clip in clips if place[clip] == name] for name in ("train", "valid", "test")}


def as_recordings(clips: Sequence[Clip], duplicates: Sequence[Sequence[Clip]]) -> list[Recording]:
    """Group ``clips`` into recordings, in order; a group of ``duplicates`` is one recording."""
    first = {clip: group[0] for group in duplicates for clip in group}
    recordings: dict[Clip, list[Clip]] = {}
    for clip in clips:
        recordings.setdefault(first.get(clip, clip), []).append(clip)
    return [Recording(tuple(names)) for names in recordings.values()]


def _stratified(recordings: Sequence[Recording], fractions: Sequence[float], seed: int) -> list[str]:
    """Draw the set of each recording by iterative stratification."""
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
    """Return the number of sensors of each part: as wanted, or else the paper's share of ``n`` (train: the rest)."""
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
            f"{sizes['train']} train, {sizes['valid']} valid and {sizes['probe']} probe sensors are more than the {n} "
            "sensors with 2 clips or more; ask for fewer sensors, or give more data"
        )
    return sizes


def _is_id_list(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
