"""What the rest of `training` speaks of: clips, their groups and labels, and stretches of their renditions.

No data set and no paper appears here. The system that makes a latent store decides what a group is (a sensor, a
waveform, a recording) and which labels there are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

#: The rendition that is the clip's own waveform, unchanged.
ORIGINAL = "original"
T = TypeVar("T")


class ByKind(dict[str, T]):
    """Something for each kind of label; asking for a kind that is not there is a ValueError."""

    def __missing__(self, kind: str) -> T:
        raise ValueError(
            f"there are no labels of kind {kind!r}, only {', '.join(self) or 'none'}; take a recipe or a latent store "
            "that goes with the other"
        )


@dataclass(frozen=True)
class Clip:
    """One row of a data set.

    Attributes:
        name: unique in the data set, usually the file's.
        group: what clips have in common that may be paired, such as the sensor that recorded them.
        labels: classes of the clip by kind of label, such as ``{"source": ("dog", "music")}``.
    """

    name: str
    group: int | str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", ByKind({kind: tuple(classes) for kind, classes in self.labels.items()}))


@dataclass(frozen=True)
class Partition:
    """Groups by role: those that train, those that validate, and those that only probes may see."""

    train: tuple[int | str, ...]
    valid: tuple[int | str, ...] = ()
    probe: tuple[int | str, ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "valid", "probe"):
            object.__setattr__(self, part, tuple(getattr(self, part)))


@dataclass(frozen=True)
class Segment:
    """``frames`` frames of one rendition of clip ``clip`` (its index in the store), from frame ``start`` on."""

    clip: int
    rendition: str
    start: int
    frames: int


@dataclass(frozen=True)
class Description:
    """``store.json``: everything about a latent store but its arrays.

    Attributes:
        clips: what each index of the arrays is.
        frontend: {name, sha256, dim, hop, sample_rate, precision} of the front end that computed the frames.
        partition: which groups train and which validate.
        labels: every class of each kind of label, in the order of a batch's columns.
        renditions: of each clip, the renditions that the store has arrays for.
        data: the clips in words, for the cards of checkpoints.
    """

    clips: Sequence[Clip]
    frontend: Mapping[str, Any]
    partition: Partition
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renditions: tuple[str, ...] = (ORIGINAL,)
    data: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError, with the culprits, where clips and groups would silently be taken for others."""
        names = Counter(clip.name for clip in self.clips)
        roles = Counter(group for part in vars(self.partition).values() for group in set(part))
        unknown = [
            f"{label} ({clip.name})"
            for clip in self.clips
            for kind, classes in self.labels.items()
            for label in clip.labels.get(kind, ())
            if label not in classes
        ]
        groups = [clip.group for clip in self.clips]
        for fault, found in (
            ("groups are no numbers or words", [f"{group}" for group in groups if not isinstance(group, int | str)]),
            ("renditions are no words", [repr(name) for name in self.renditions if not _is_word(name)]),
            ("clip names come more than once", [name for name, count in names.items() if count > 1]),
            ("groups have more than one role", [str(group) for group, count in roles.items() if count > 1]),
            ("labels are in no list of classes", unknown),
            ("kinds of label have a name of ours", [kind for kind in self.labels if kind == "group"]),
        ):
            if found:
                raise ValueError(f"{fault}: {some(found)}; mend them")

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values, lists instead of tuples."""
        about = {**vars(self), "clips": [vars(clip) for clip in self.clips], "partition": vars(self.partition)}
        plain: dict[str, Any] = json.loads(json.dumps(about))
        return plain

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> Description:
        """From `as_dict`, or from what version 0.2 wrote: a sensor and sources for each clip, and their split.

        Raises:
            KeyError, TypeError: it is neither.
        """
        if "split" in about:
            sources = sorted({source for clip in about["clips"] for source in clip["sources"]})
            split = {part: about["split"][part] for part in ("train", "valid", "probe")}
            clips = [Clip(c["name"], c["sensor"], {"source": c["sources"]}) for c in about["clips"]]
            labels = {"source": tuple(sources)}
            renditions = tuple(about.get("renditions", (ORIGINAL,)))  # added later
            return cls(clips, about["frontend"], Partition(**split), labels, renditions, about["data"])
        clips = [Clip(**clip) for clip in about["clips"]]
        labels = {kind: tuple(classes) for kind, classes in about["labels"].items()}
        partition = Partition(**about["partition"])
        return cls(clips, about["frontend"], partition, labels, tuple(about["renditions"]), about["data"])

    def differences(self, other: Description) -> list[str]:
        """Fields in which ``other`` is of something else. Words may differ, as may which renditions are there."""
        mine, others = self.as_dict(), other.as_dict()
        return [key for key in ("clips", "frontend", "partition", "labels") if mine[key] != others[key]]


def _is_word(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()  # half a character of JSON's "\\ud800" is not


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few of ``names``, as a list in a sentence."""
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
