"""View samplers: which clips, in which renditions, one training example shows, and which views are aligned in time."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.data.records import ORIGINAL, Clip


@dataclass(frozen=True)
class Examples:
    """Training examples, each of the same number of views.

    Attributes:
        clips: int64 [example, view], indices of clips.
        rendition: int64 [example, view], indices into ``renditions``.
        renditions: names of renditions.
        aligned: for each view, the view whose stretch of time it shares; a view that names itself has a cut of its own.
        sensors: for each view, the view whose sensor it shares, where augmentations draw one; by default its own.
        together: int64 [example]; a batch has only examples of one value. None where any examples may share a batch.
    """

    clips: np.ndarray
    rendition: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    renditions: tuple[str, ...] = (ORIGINAL,)
    aligned: tuple[int, ...] = ()
    together: np.ndarray | None = None
    sensors: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.rendition.size:
            object.__setattr__(self, "rendition", np.zeros_like(self.clips))
        if not self.aligned:
            object.__setattr__(self, "aligned", tuple(range(self.clips.shape[1])))
        if not self.sensors:
            object.__setattr__(self, "sensors", tuple(range(self.clips.shape[1])))

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def shares_sensors(self) -> bool:
        """Whether several views are heard by one sensor, which an augmentation draws."""
        return len(set(self.sensors)) < len(self.sensors)


#: Takes clips, how many examples to draw for each, the renditions at hand, and a seed.
ViewSampler = Callable[[Sequence[Clip], int, Sequence[str], int], Examples]


def pairs_within(
    groups: Sequence[object], per_clip: int = 3, seed: int = 0, apart: Sequence[object] | None = None
) -> np.ndarray:
    """Pairs of clips of one group: each clip with ``per_clip`` partners drawn from the others of its group.

    Partners are drawn without replacement while the group has enough clips (3 a clip gives the paper's 39k training
    pairs from 13k clips). A group with a single clip has no pair, and a warning names it.

    Args:
        groups: of each clip.
        apart: of each clip, something in which its partner must differ; None asks for no such thing.

    Returns:
        int64 [pair, 2], indices into ``groups``; deterministic.

    >>> pairs_within([7, 7], per_clip=1).tolist()
    [[0, 1], [1, 0]]
    >>> pairs_within([7, 7, 7], per_clip=1, apart=["a", "a", "b"])[:2].tolist()
    [[0, 2], [1, 2]]
    """
    rng = np.random.default_rng(seed)
    of_group: defaultdict[object, list[int]] = defaultdict(list)
    for clip, group in enumerate(groups):  # not in an array of NumPy's, where 1 and "1" are the same
        of_group[group].append(clip)
    members = {group: np.array(clips) for group, clips in of_group.items()}
    kinds = None if apart is None else np.unique(np.asarray(apart), return_inverse=True)[1]
    pairs = []
    for clip, group in enumerate(groups):
        others = members[group]
        others = others[others != clip if kinds is None else kinds[others] != kinds[clip]]
        if len(others):
            partners = rng.choice(others, size=per_clip, replace=len(others) < per_clip)
            pairs += [(clip, int(partner)) for partner in partners]
        else:
            what = "a single clip, which" if apart is None else f"no partner for clip {clip}, which"
            warnings.warn(f"group {group} has {what} is skipped", stacklevel=2)
    return np.asarray(pairs, np.int64).reshape(-1, 2)


def same_group(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Two clips of one group, each cut on its own (see `pairs_within`)."""
    return Examples(pairs_within([clip.group for clip in clips], per_clip, seed))


def two_crops(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """Two cuts of the same clip, drawn independently; ``per_clip`` examples of each clip."""
    return Examples(np.repeat(np.arange(len(clips)), per_clip)[:, None].repeat(2, axis=1))


def two_crops_by_group(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """As `two_crops`, in batches of one group each: whatever the clips of a group share tells no example from another.

    Clips that are alone in their group are left out, since a batch of one example has nothing to compare.
    """
    groups: dict[object, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        groups[clip.group].append(index)
    several = [members for members in groups.values() if len(members) > 1]
    drawn = np.repeat(np.array([index for members in several for index in members], np.int64), per_clip)
    together = np.repeat(np.arange(len(several)), [per_clip * len(members) for members in several])
    return Examples(drawn[:, None].repeat(2, axis=1), together=together)


def renditions_of_a_clip(clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int) -> Examples:
    """The original and another rendition of the same stretch of a clip (see `with_another_rendition`)."""
    return with_another_rendition(clips, per_clip, renditions, seed, aligned=(0, 0))


def with_another_rendition(
    clips: Sequence[Clip], per_clip: int, renditions: Sequence[str], seed: int, aligned: tuple[int, ...]
) -> Examples:
    """Views of one clip: the last in a rendition drawn from ``renditions``, all others in the original.

    Args:
        aligned: for each view, the view whose stretch of time it shares (see `Examples`).

    Raises:
        ValueError: there is no rendition but the original.
    """
    others = [k for k, name in enumerate(renditions) if name != ORIGINAL]
    if not others:
        raise ValueError("these views need a rendition besides the original; name one in the recipe")
    views = np.repeat(np.arange(len(clips)), per_clip)[:, None].repeat(len(aligned), axis=1)
    rendition = np.full_like(views, list(renditions).index(ORIGINAL))
    rendition[:, -1] = np.random.default_rng(seed).choice(others, len(views))
    return Examples(views, rendition, tuple(renditions), aligned)


#: View samplers of the core, by the name that recipes use.
VIEWS: dict[str, ViewSampler] = {
    "same_group": same_group,
    "two_crops": two_crops,
    "two_crops_by_group": two_crops_by_group,
    "renditions": renditions_of_a_clip,
}
