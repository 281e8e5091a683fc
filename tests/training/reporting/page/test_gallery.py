"""The clips of the page: each with its own sensor, sources, sound and embedding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.reporting.page.gallery import load_gallery, task_folder


def made(tmp_path: Path) -> tuple[Path, Path]:
    """Two task folders of three clips, and the embeddings of one view."""
    labels = {"train": ["a.wav", "b.wav"], "test": ["c.wav"]}
    for task, of in (("sonyc_source", ["dog"]), ("sonyc_sensor", ["sensor_07"])):
        folder = tmp_path / "tasks" / f"{task}-v1-full"
        (folder / "44100").mkdir(parents=True)
        (folder / "task_metadata.json").write_text(json.dumps({"splits": list(labels)}))
        for split, names in labels.items():
            (folder / f"{split}.json").write_text(json.dumps(dict.fromkeys(names, of)))
    model = tmp_path / "embeddings" / "hear_multiview-view=private"
    for number, (split, name) in enumerate((split, name) for split, names in labels.items() for name in names):
        place = model / "sonyc_source-v1-full" / split
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{name}.embedding.npy", np.full(4, number, np.float32))
    return tmp_path / "tasks", model


def test_clips_and_embeddings_stay_together(tmp_path: Path) -> None:
    tasks, model = made(tmp_path)
    gallery = load_gallery(tasks, [model])
    assert [clip.name for clip in gallery.clips] == ["a", "b", "c"]
    assert {(clip.sensor, clip.sources) for clip in gallery.clips} == {("07", ("dog",))}
    assert gallery.clips[2].audio == tasks / "sonyc_source-v1-full" / "44100" / "test" / "c.wav"
    assert list(gallery.embeddings) == ["private"]
    assert gallery.embeddings["private"][:, 0].tolist() == [0, 1, 2]


def test_a_task_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0.*sonyc_source-"):
        task_folder(tmp_path, "sonyc_source")
