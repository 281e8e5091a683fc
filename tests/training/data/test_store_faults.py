"""What a store has lost is never read as frames: it counts as missing, or is refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.audio import write_pcm16
from sonyc_tasks.dataset.splits import SensorSplit
from training.data import store as module
from training.data.extraction import extract
from training.data.store import LatentStore, StoredClip, checksum
from training.engine.pretrain import pretrain
from training.recipes import RECIPES

CLIPS = [StoredClip(f"0{k % 2}_{k:06d}.wav", k % 2) for k in range(6)]
FRONTEND = {"name": "demo", "sha256": "0" * 64, "dim": 4, "hop": 512, "sample_rate": 44_100}
SPLIT = SensorSplit((0,), (1,), (2,))
LONGEST = 9
DISK_AND_MEMORY = pytest.mark.parametrize("in_memory", [0, module.IN_MEMORY])


def frames(clip: int) -> np.ndarray:
    return np.random.default_rng(clip).normal(size=(LONGEST - clip, 4)).astype(np.float16)


def filled(path: Path) -> LatentStore:
    store = LatentStore.create(path, CLIPS, FRONTEND, LONGEST, SPLIT, "words")
    for index in range(len(CLIPS)):
        store.write(index, frames(index))
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    filled(tmp_path / "store")
    return tmp_path / "store"


def chunk(path: Path, clip: int) -> Path:
    """The file of a clip's frames."""
    return path / "frames" / f"{clip}.0.0"


def of_version_0_1(path: Path) -> Path:
    """A full store as version 0.1 left it: no checksums, and zarr's own newest format."""
    about = {"data": "", "frontend": FRONTEND, "split": asdict(SPLIT), "clips": [vars(clip) for clip in CLIPS]}
    uncompressed = (
        {"compressor": None}
        if zarr.__version__.startswith("2.")
        else {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}
    )
    shape = (len(CLIPS), LONGEST, 4)
    held = zarr.open_array(
        store=f"{path}/frames", mode="w", shape=shape, chunks=(1, LONGEST, 4), dtype="float16", **uncompressed
    )
    lengths = zarr.open_array(store=f"{path}/length", mode="w", shape=shape[:1], chunks=(64,), dtype="int32")
    for index in range(len(CLIPS)):
        held[index, : LONGEST - index], lengths[index] = frames(index), LONGEST - index
    (path / "store.json").write_text(json.dumps(about))
    return path


def test_the_format_is_the_one_that_every_zarr_reads(path: Path) -> None:
    for name in ("frames", "length", "checksum"):
        assert json.loads((path / name / ".zarray").read_text())["zarr_format"] == 2
        assert not (path / name / "zarr.json").exists()
    assert chunk(path, 0).read_bytes() == frames(0).astype("<f2").tobytes()  # as it is, readable by anything


@settings(max_examples=30, deadline=None)
@given(gone=st.sets(st.integers(0, 5)), cut=st.sets(st.integers(0, 5)))
def test_what_is_gone_or_cut_is_missing(
    tmp_path_factory: pytest.TempPathFactory, gone: set[int], cut: set[int]
) -> None:
    path = tmp_path_factory.mktemp("s") / "store"
    filled(path)
    for clip in cut:
        chunk(path, clip).write_bytes(chunk(path, clip).read_bytes()[:-1])
    for clip in gone:
        chunk(path, clip).unlink()
    store = LatentStore(path)
    assert store.missing() == store.lost == sorted(gone | cut)
    for clip in range(6):
        if clip in gone | cut:
            for use in (store.read, store.statistics, store.require):
                with pytest.raises(ValueError, match=rf"lacks 1 of 6 clips \({CLIPS[clip].name}\)"):
                    use([clip])
        else:
            np.testing.assert_array_equal(store.read([clip])[0], frames(clip))
    again = LatentStore.create(path, CLIPS, FRONTEND, LONGEST, SPLIT, "words")
    for clip in again.missing():
        again.write(clip, frames(clip))
    assert LatentStore(path).missing() == []


@DISK_AND_MEMORY
@pytest.mark.parametrize(
    "fault", ["a changed bit", "the chunk of another clip", "zeros", "two frames in each other's place"]
)
def test_a_chunk_of_the_right_size_and_other_content(
    path: Path, in_memory: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", in_memory)
    content = bytearray(chunk(path, 2).read_bytes())
    content[:] = {
        "a changed bit": bytes([content[0] ^ 1]) + content[1:],
        "the chunk of another clip": chunk(path, 3).read_bytes(),
        "zeros": bytes(len(content)),
        "two frames in each other's place": content[8:16] + content[:8] + content[16:],
    }[fault]
    chunk(path, 2).write_bytes(content)
    store = LatentStore(path)
    for use in (store.read, store.statistics):
        with pytest.raises(ValueError, match=rf"{CLIPS[2].name} of the latent store {path} is not what was written"):
            use([2])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_checksum_changes_with_every_bit_and_with_the_length(data: st.DataObject) -> None:
    held = frames(data.draw(st.integers(0, 5)))
    changed = bytearray(held.tobytes())
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    assert checksum(np.frombuffer(bytes(changed), np.float16).reshape(held.shape)) != checksum(held)
    assert checksum(held[:-1]) != checksum(held)
    assert checksum(np.concatenate([held, np.zeros((1, 4), np.float16)])) != checksum(held)


@pytest.mark.parametrize("old", [False, True])
def test_a_chunk_that_goes_after_the_store_was_opened(
    tmp_path: Path, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    path = tmp_path / "store"
    of_version_0_1(path) if old else filled(path)
    store = LatentStore(path)
    np.testing.assert_array_equal(store.read([1])[0], frames(1))
    for file in (path / "frames").rglob("*"):
        if file.is_file() and not file.name.startswith((".", "zarr")):
            file.unlink()
    with pytest.raises(ValueError, match=rf"clip {CLIPS[1].name} of the latent store"):
        store.read([1])


def test_a_chunk_cut_after_the_store_was_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    store = LatentStore(path)
    chunk(path, 1).write_bytes(b"half")
    with pytest.raises(ValueError, match=rf"clip {CLIPS[1].name} of the latent store"):
        store.read([1])


def test_silence_is_no_loss(path: Path) -> None:
    LatentStore(path, mode="r+").write(3, np.zeros((5, 4)))
    store = LatentStore(path)
    assert store.missing() == []
    assert torch.equal(store.read([3]), torch.zeros(1, 5, 4))


def test_a_store_of_version_0_1_is_read_mended_and_continued(tmp_path: Path) -> None:
    path = of_version_0_1(tmp_path / "old")
    new = filled(tmp_path / "new")
    store = LatentStore(path)
    assert store.missing() == []
    assert store.digest == new.digest
    for clip in range(6):
        assert torch.equal(store.read([clip]), new.read([clip]))
    (lost,) = [
        file for file in (path / "frames").rglob("*") if file.is_file() and "5" in file.relative_to(path).as_posix()
    ]
    lost.unlink()
    assert LatentStore(path).missing() == [5]
    LatentStore.create(path, CLIPS, FRONTEND, LONGEST, SPLIT, "words").write(5, frames(5))
    assert torch.equal(LatentStore(path).read([5]), new.read([5]))


@pytest.mark.parametrize("name", ["length", "checksum"])
def test_lost_numbers_mean_computed_again(path: Path, name: str) -> None:
    (path / name / "0").unlink()
    store = LatentStore(path)
    assert store.missing() == store.lost == list(range(6))


@pytest.mark.parametrize("value", [-1, LONGEST + 1, 2**30])
def test_a_length_that_cannot_be(path: Path, value: int) -> None:
    zarr.open_array(store=f"{path}/length", mode="r+")[4] = value
    with pytest.raises(ValueError, match=rf"{path}/length is damaged.*{value} .*{CLIPS[4].name}"):
        LatentStore(path)


@DISK_AND_MEMORY
def test_a_length_that_is_wrong(path: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", in_memory)
    zarr.open_array(store=f"{path}/length", mode="r+")[4] = LONGEST - 3
    with pytest.raises(ValueError, match=rf"{CLIPS[4].name} of the latent store"):
        LatentStore(path).read([4])


def test_any_cut_of_the_description_is_refused(path: Path) -> None:
    about = path / "store.json"
    text = about.read_text()
    for kept in range(0, len(text), 7):
        about.write_text(text[:kept])
        with pytest.raises(ValueError, match=r"store\.json is damaged"):
            LatentStore(path)
        with pytest.raises(ValueError, match=r"store\.json is damaged"):
            LatentStore.create(path, CLIPS, FRONTEND, LONGEST, SPLIT, "words")


@pytest.mark.parametrize("key", ["clips", "frontend", "split", "data"])
def test_a_description_that_lacks_something(path: Path, key: str) -> None:
    about = json.loads((path / "store.json").read_text())
    for change in ({}, {key: 3}) if key != "data" else ({},):
        (path / "store.json").write_text(json.dumps({k: v for k, v in about.items() if k != key} | change))
        with pytest.raises(ValueError, match=r"store\.json is damaged"):
            LatentStore(path)


def test_frames_without_their_description_are_not_overwritten(path: Path) -> None:
    (path / "store.json").unlink()
    with pytest.raises(ValueError, match=r"store\.json is lost"):
        LatentStore.create(path, CLIPS, FRONTEND, LONGEST, SPLIT, "words")
    assert chunk(path, 5).exists()


@pytest.mark.parametrize("name", ["frames", "length", "checksum"])
@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]"])
def test_an_array_that_lost_its_description(path: Path, name: str, content: str | None) -> None:
    described = path / name / ".zarray"
    described.unlink() if content is None else described.write_text(content)
    with pytest.raises(ValueError, match=f"{path}/{name} cannot be opened"):
        LatentStore(path)


@pytest.mark.parametrize("shape", [(6, 4), (9, 3), (9, 1), (10, 4), (0, 4), (4,)])
def test_frames_of_another_shape_are_not_stored(path: Path, shape: tuple[int, ...]) -> None:
    store = LatentStore(path, mode="r+")
    if shape == (6, 4):
        store.write(0, np.ones(shape))
        return
    with pytest.raises(ValueError, match=rf"{CLIPS[0].name} have shape"):
        store.write(0, np.ones(shape))


def test_opening_lists_the_chunks_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    original = LocalFileSystem.find

    def find(self: LocalFileSystem, path: str, **options: Any) -> Any:
        listed.append(path)
        return original(self, path, **options)

    monkeypatch.setattr(LocalFileSystem, "find", find)
    LatentStore(path).read([0, 1])
    assert listed == [str(path / "frames")]


def test_pretraining_refuses_by_name_and_extraction_mends(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    front = load_frontend("log_mel")
    clips = []
    for sensor in range(2):
        for k in range(3):
            file = tmp_path / f"{sensor:02d}_{k:06d}.wav"
            write_pcm16(file, 0.1 * rng.standard_normal(4000), front.sample_rate)
            clips.append(Clip(file.name, sensor, file, ()))
    path = tmp_path / "store"
    whole = extract(clips, SPLIT, front, path).read(range(6))
    chunk(path, 1).unlink()
    chunk(path, 4).write_bytes(b"")
    recipe = replace(RECIPES["multiview_rec"], width=8, epochs=1)
    with pytest.raises(ValueError, match=rf"lacks 2 of 6 clips \({clips[1].name}, {clips[4].name}\)"):
        pretrain(recipe, LatentStore(path), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.warns(UserWarning, match=rf"{path} has lost a part of 2 .*{clips[1].name}, {clips[4].name}"):
        mended = extract(clips, SPLIT, front, path)
    assert torch.equal(mended.read(range(6)), whole)
    shutil.rmtree(path)
