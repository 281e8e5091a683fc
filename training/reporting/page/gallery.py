"""The clips of a folder of HEAR tasks with what heareval embedded of them: a map to look at, and sounds to hear."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sonyc_tasks.page.projection import nearest, project, similarities
from sonyc_tasks.scores.results import split_model_name
from sonyc_tasks.scores.text_tables import markdown_table
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.embeddings import read_embeddings
from training.reporting.page.audio import SECONDS, excerpt

#: Clips that can be heard; this many make a page of about 6 MB.
MAX_AUDIBLE_CLIPS = 120
_VIEWS = {"private": "z_private", "shared": "z_shared", "joint": "joint (both halves)", "frontend": "front end"}


@dataclass(frozen=True)
class GalleryClip:
    """One clip.

    Attributes:
        name: as the page shows it.
        sensor: the sensor that recorded it.
        sources: what sounds in it; may be empty.
        audio: its file.
    """

    name: str
    sensor: str
    sources: tuple[str, ...]
    audio: Path


@dataclass(frozen=True)
class Gallery:
    """Clips and their scene embeddings. All pairs are compared in memory: a test set's clips, not a whole data set's.

    Attributes:
        clips: the clips.
        embeddings: [clip, dim] by view ("private", "shared", "joint", "frontend", …).

    Raises:
        ValueError: there are fewer than two clips or no view, or an embedding has a different number of clips or is
            not finite.
    """

    clips: Sequence[GalleryClip]
    embeddings: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if len(self.clips) < 2 or not self.embeddings:
            raise ValueError(
                f"{len(self.clips)} clips with {len(self.embeddings)} views make no map; give two clips and a view"
            )
        for view, embedding in self.embeddings.items():
            if embedding.ndim != 2 or len(embedding) != len(self.clips):
                raise ValueError(
                    f"view {view}: embeddings of shape {embedding.shape} do not belong to {len(self.clips)} clips; "
                    "compute them again"
                )
            if not np.isfinite(embedding).all():
                raise ValueError(f"view {view}: embeddings contain NaN or infinity; compute them again")


def load_gallery(tasks: Path, models: Iterable[Path]) -> Gallery:
    """Every clip of the source and the sensor task, with its scene embeddings.

    Args:
        tasks: folder of HEAR tasks.
        models: folders as heareval names them, ``<module>[-option=value…]``, one per view.
    """
    source, sensor = (task_folder(tasks, task) for task in (SOURCE_TASK, SENSOR_TASK))
    # The highest sample rate sounds best.
    audio = max((path for path in source.iterdir() if path.is_dir()), key=lambda path: int(path.name))
    clips = []
    for split in json.loads((source / "task_metadata.json").read_text())["splits"]:
        sensors = json.loads((sensor / f"{split}.json").read_text())
        for name, sources in json.loads((source / f"{split}.json").read_text()).items():
            number = sensors[name][0].removeprefix("sensor_")
            clips.append(GalleryClip(Path(name).stem, number, tuple(sources), audio / split / name))
    embeddings = {}
    for model in models:
        place = task_folder(model, SOURCE_TASK)
        files = [place / clip.audio.parent.name / f"{clip.audio.name}.embedding.npy" for clip in clips]
        embeddings[split_model_name(model.name)[1]] = read_embeddings(files)
    return Gallery(clips, embeddings)


def task_folder(folder: Path, name: str) -> Path:
    """The folder of the task ``name`` in ``folder``, whatever its version.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = sorted(folder.glob(f"{name}-*"))
    if len(found) != 1:
        raise ValueError(f"{folder} contains {len(found)} folders {name}-…; leave exactly one")
    return found[0]


def choose_clips(sensors: Sequence[str], most: int) -> list[int]:
    """Choose clips evenly by sensor, with a fixed seed.

    Args:
        sensors: of each clip.
        most: how many clips to choose at most.

    Returns:
        Indices in rising order.

    >>> chosen = choose_clips(["a"] * 5 + ["b"] * 100 + ["c"] * 20, 45)
    >>> [sum(low <= k < high for k in chosen) for low, high in ((0, 5), (5, 105), (105, 125))]
    [5, 20, 20]
    >>> choose_clips(["a", "b", "a"], 45)
    [0, 1, 2]
    """
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, int]] = []
    for index in np.random.default_rng(0).permutation(len(sensors)).tolist():
        turns.append((seen[sensors[index]], len(turns), index))
        seen[sensors[index]] += 1
    return sorted(index for _, _, index in sorted(turns)[:most])


def gallery_contents(gallery: Gallery) -> dict[str, Any]:
    """What the page shows of a gallery: ``summary`` and ``counts`` (Markdown), and ``data`` for its script.

    Raises:
        ValueError: the audio of a clip cannot be read.
    """
    similarity = {view: similarities(gallery.embeddings[view]) for view in _in_order(gallery.embeddings)}
    summary, counts = _neighbour_counts(gallery.clips, similarity)
    return {"summary": summary, "counts": counts, "data": _script_data(gallery, similarity)}


def _in_order(views: Iterable[str]) -> list[str]:
    return sorted(views, key=lambda view: [*_VIEWS, view].index(view))


def _script_data(gallery: Gallery, similarity: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The map, the audible clips, and the neighbours of each among them, as JSON values."""
    clips = gallery.clips
    panel = choose_clips([clip.sensor for clip in clips], MAX_AUDIBLE_CLIPS)
    maps = {view: project(gallery.embeddings[view]) for view in similarity}
    neighbours: dict[str, list[Any]] = {}
    for view in ("private", "shared"):
        if view in similarity:
            within = similarity[view][np.ix_(panel, panel)]
            rows = zip(within, nearest(within), strict=True)
            neighbours[view] = [[(panel[j], round(float(row[j]), 3)) for j in best] for row, best in rows]
    return {
        "clips": [{"name": clip.name, "sensor": clip.sensor, "sources": clip.sources} for clip in clips],
        "views": {view: points.round(4).tolist() for view, (points, _) in maps.items()},
        "names": {view: _VIEWS.get(view, view) for view in maps},
        "how": {view: how for view, (_, how) in maps.items()},
        "panel": panel,
        "neighbours": neighbours,
        "audio": [excerpt(clips[index].audio) for index in panel],
        "seconds": SECONDS,
    }


def _neighbour_counts(clips: Sequence[GalleryClip], similarity: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """Of the nearest clips, how many share the sensor and how many a source: in a sentence, and as a Markdown table."""
    same = np.array([[a.sensor == b.sensor for b in clips] for a in clips], dtype=float)
    common = np.array([[bool({*a.sources} & {*b.sources}) for b in clips] for a in clips], dtype=float)
    best = {view: nearest(values) for view, values in similarity.items()}
    shares = {
        view: [float(np.take_along_axis(x, of, axis=1).mean()) for x in (same, common)] for view, of in best.items()
    }
    others = ~np.eye(len(clips), dtype=bool)
    chance = [float(x[others].mean()) for x in (same, common)]
    count = next(iter(best.values())).shape[1]
    halves = "; ".join(
        f"in {_VIEWS[view]}, {shares[view][0]:.0%} come from the same sensor and {shares[view][1]:.0%} share a source"
        for view in ("private", "shared")
        if view in shares
    )
    summary = f"Of the {count} nearest neighbours of each of the {len(clips)} clips, {halves or 'see the table'}."
    rows = {_VIEWS.get(view, view): of for view, of in shares.items()} | {"any other clip (chance)": chance}
    header = (f"nearest {count} by", "same sensor", "shared source")
    cells = [[name, *(f"{share:.1%}" for share in of)] for name, of in rows.items()]
    return summary, markdown_table(header, cells, "lrr")
