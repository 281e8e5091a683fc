"""The same input gives the same bytes, whatever the number of workers, the neighbours and their order, on a CPU."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hear_multiview.frontends import load_frontend
from hear_multiview.recordings.embed_table import embed_table
from hear_multiview.recordings.table import open_table
from sonyc_tasks.tasks.task_folder import Task, write_task
from training.data.extraction import extract
from training.data.records import Clip, Description, Partition

SECONDS = (0.3, 0.3, 0.7, 0.02, 1.1, 0.3)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six files of several lengths and rates."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, seconds in enumerate(SECONDS):
        rate = (8000, 44_100, 48_000)[number % 3]
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, (round(seconds * rate), 1 + number % 2))
        soundfile.write(folder / f"{number}.wav", noise, rate)
    return sorted(folder.iterdir())


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_table_does_not_depend_on_workers_neighbours_or_order(sounds: list[Path], tmp_path: Path) -> None:
    for workers in (1, 2, 5):
        embed_table(sounds, tmp_path / str(workers) / "t.npy", workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")
    embed_table(reversed(sounds), tmp_path / "reversed.npy", workers=2)
    embed_table(sounds[2:3], tmp_path / "alone.npy")
    rows = {}
    for name in ("1/t.npy", "reversed.npy", "alone.npy"):
        table = open_table(tmp_path / name)
        rows[name] = {path: table.row(index).tobytes() for index, path in enumerate(table.paths)}
    assert rows["1/t.npy"] == rows["reversed.npy"]
    assert rows["alone.npy"].items() <= rows["1/t.npy"].items()


def test_a_task_folder_does_not_depend_on_workers(sounds: list[Path], tmp_path: Path) -> None:
    clips = [f"{number}.wav" for number in range(6)]
    splits = {split: {clip: ["dog"] for clip in clips[k::3]} for k, split in enumerate(("train", "valid", "test"))}
    task = Task("pets", ("dog",), splits, "multiclass", ("top1_acc",), 0.5)
    sources = dict(zip(clips, sounds, strict=True))
    for workers in (1, 4):
        write_task(task, sources, tmp_path / str(workers), sample_rate=[16_000, 44_100], workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")
    assert len(contents(tmp_path / "1")) == 2 * len(clips) + 5


@pytest.mark.parametrize("frontend", ["log_mel_16k", "demo"])
def test_latents_do_not_depend_on_neighbours_or_order(frontend: str, sounds: list[Path], tmp_path: Path) -> None:
    def frames(name: str, files: list[Path]) -> dict[str, bytes]:
        about = Description([Clip(path.name, 1) for path in files], {}, Partition((1,)))
        store = extract(about, {path.name: path for path in files}, load_frontend(frontend), tmp_path / name)
        rendition, count = store.renditions["original"], len(store.clips)
        read = rendition.read(range(count), [0] * count, rendition.length.tolist())
        return {clip.name: stretch.tobytes() for clip, stretch in zip(store.clips, read, strict=True)}

    whole = frames("whole", sounds)
    assert frames("again", sounds) == whole
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert frames("reversed", sounds[::-1]) == whole
    assert frames("alone", sounds[2:3]).items() <= whole.items()
