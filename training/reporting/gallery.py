"""The clips of a folder of HEAR tasks with what heareval embedded of them, for the results page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sonyc_tasks.scores.results import split_model_name
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK
from training.probes.embeddings import read_embeddings
from training.reporting.page import PageClip, Room


def read_room(tasks: Path, models: Iterable[Path]) -> Room:
    """Every clip of the source and sensor task below ``tasks``, and its scene embeddings by view.

    Args:
        models: folders as heareval names them, ``<module>[-option=value…]``, one a view.
    """
    source, sensor = (task_folder(tasks, task) for task in (SOURCE_TASK, SENSOR_TASK))
    audio = max((path for path in source.iterdir() if path.is_dir()), key=lambda path: int(path.name))  # the best rate
    clips = []
    for split in json.loads((source / "task_metadata.json").read_text())["splits"]:
        sensors = json.loads((sensor / f"{split}.json").read_text())
        for name, sources in json.loads((source / f"{split}.json").read_text()).items():
            clips.append(
                PageClip(
                    Path(name).stem, sensors[name][0].removeprefix("sensor_"), tuple(sources), audio / split / name
                )
            )
    embeddings = {}
    for model in models:
        place = task_folder(model, SOURCE_TASK)
        files = [place / clip.audio.parent.name / f"{clip.audio.name}.embedding.npy" for clip in clips]
        embeddings[split_model_name(model.name)[1]] = read_embeddings(files)
    return Room(clips, embeddings)


def task_folder(folder: Path, name: str) -> Path:
    """The one folder of the task ``name`` in ``folder``, of whatever version."""
    found = sorted(folder.glob(f"{name}-*"))
    if len(found) != 1:
        raise ValueError(f"{folder} has {len(found)} folders {name}-…: it should have one")
    return found[0]
