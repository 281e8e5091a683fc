"""What a store has lost is never read as frames: it counts as missing, or is refused by name."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
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
from sonyc_tasks.dataset.audio import write_pcm16
from training.data.arrays import FrameArrays, checksum
from training.data.extraction import extract
from training.data.records import ORIGINAL, Clip, Description, Partition
from training.data.store import IN_MEMORY, LatentStore, held_store
from training.engine.pretrain import pretrain
from training.recipes import recipe_named

Whole = Callable[..., torch.Tensor]
CLIPS = [Clip(f"0{k % 2}_{k:06d}.wav", k % 2) for k in range(6)]
FRONTEND = {"name": "demo", "sha256": "0" * 64, "dim": 4, "hop": 512, "sample_rate": 44_100}
ABOUT = Description(CLIPS, FRONTEND, Partition((0,), (1,), (2,)), data="words")
LONGEST = 9
DISK_AND_MEMORY = pytest.mark.parametrize("in_memory", [0, IN_MEMORY])


def frames(clip: int) -> np.ndarray:
    return np.random.default_rng(clip).normal(size=(LONGEST - clip, 4)).astype(np.float16)


def filled(path: Path) -> LatentStore:
    store = LatentStore.create(path, ABOUT, LONGEST)
    for index in range(len(CLIPS)):
        arrays(store).write(index, frames(index))
    return store


def arrays(store: LatentStore) -> FrameArrays:
    return store.renditions[ORIGINAL]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    filled(tmp_path / "store")
    return tmp_path / "store"


def chunk(path: Path, clip: int) -> Path:
    """The file of a clip's frames."""
    return path / "frames" / f"{clip}.0.0"


def of_version_0_1(path: Path) -> Path:
    """A full store as version 0.1 left it: no checksums, and zarr's own newest format."""
    split = {"train": [0], "valid": [1], "probe": [2], "rule": "by hand", "seed": None}
    clips: list[dict[str, Any]] = [{"name": clip.name, "sensor": clip.group, "sources": []} for clip in CLIPS]
    about = {"data": "", "frontend": FRONTEND, "split": split, "clips": clips}
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
    tmp_path_factory: pytest.TempPathFactory, read_whole: Whole, gone: set[int], cut: set[int]
) -> None:
    path = tmp_path_factory.mktemp("s") / "store"
    filled(path)
    for clip in cut:
        chunk(path, clip).write_bytes(chunk(path, clip).read_bytes()[:-1])
    for clip in gone:
        chunk(path, clip).unlink()
    store = LatentStore(path)
    assert arrays(store).missing() == arrays(store).lost == sorted(gone | cut)
    for clip in range(6):
        if clip in gone | cut:
            named = rf" 1 of 6 .*{CLIPS[clip].name}"
            with pytest.raises(ValueError, match=named):
                read_whole(store, clip)
            with pytest.raises(ValueError, match=named):
                store.statistics([clip])
            with pytest.raises(ValueError, match=named):
                store.require([clip])
        else:
            np.testing.assert_array_equal(read_whole(store, clip), frames(clip))
    again = LatentStore.create(path, ABOUT, LONGEST)
    for clip in arrays(again).missing():
        arrays(again).write(clip, frames(clip))
    assert arrays(LatentStore(path)).missing() == []


@DISK_AND_MEMORY
@pytest.mark.parametrize(
    "fault", ["a changed bit", "the chunk of another clip", "zeros", "two frames in each other's place"]
)
def test_a_chunk_of_the_right_size_and_other_content(path: Path, in_memory: int, fault: str, read_whole: Whole) -> None:
    content = bytearray(chunk(path, 2).read_bytes())
    content[:] = {
        "a changed bit": bytes([content[0] ^ 1]) + content[1:],
        "the chunk of another clip": chunk(path, 3).read_bytes(),
        "zeros": bytes(len(content)),
        "two frames in each other's place": content[8:16] + content[:8] + content[16:],
    }[fault]
    chunk(path, 2).write_bytes(content)
    store = LatentStore(path, in_memory=in_memory)
    with pytest.raises(ValueError, match=rf"{CLIPS[2].name}.*{path}"):
        read_whole(store, 2)
    with pytest.raises(ValueError, match=rf"{CLIPS[2].name}.*{path}"):
        store.statistics([2])


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
def test_a_chunk_that_goes_after_the_store_was_opened(tmp_path: Path, old: bool, read_whole: Whole) -> None:
    path = tmp_path / "store"
    of_version_0_1(path) if old else filled(path)
    store = LatentStore(path, in_memory=0)
    np.testing.assert_array_equal(read_whole(store, 1), frames(1))
    for file in (path / "frames").rglob("*"):
        if file.is_file() and not file.name.startswith((".", "zarr")):
            file.unlink()
    with pytest.raises(ValueError, match=rf"clip {CLIPS[1].name} of the latent store"):
        read_whole(store, 1)


def test_a_chunk_cut_after_the_store_was_opened(path: Path, read_whole: Whole) -> None:
    store = LatentStore(path, in_memory=0)
    chunk(path, 1).write_bytes(b"half")
    with pytest.raises(ValueError, match=rf"clip {CLIPS[1].name} of the latent store"):
        read_whole(store, 1)


def test_a_stretch_of_a_clip_is_read_from_the_disk_alone_and_compared_at_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a clip that is known to be whole, only what is asked for is read; a new process knows nothing."""
    held = arrays(LatentStore(path))
    stored, read = held._stored, list[int]()

    def noting(clip: int, start: int, count: int) -> Any:
        read.append(count)
        return stored(clip, start, count)

    monkeypatch.setattr(held, "_stored", noting)
    for _ in range(2):
        (found,) = held.read([2], [3], [2])
        np.testing.assert_array_equal(found, frames(2)[3:5])
    assert read == [LONGEST - 2, 2]
    content = chunk(path, 2).read_bytes()
    chunk(path, 2).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # beyond the clip, whose frames are fewer
    np.testing.assert_array_equal(next(arrays(LatentStore(path)).read([2], [0], [7])), frames(2))
    chunk(path, 2).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ValueError, match=CLIPS[2].name):
        list(arrays(LatentStore(path)).read([2], [3], [2]))


def test_silence_is_no_loss(path: Path, read_whole: Whole) -> None:
    arrays(LatentStore(path, mode="r+")).write(3, np.zeros((5, 4)))
    store = LatentStore(path)
    assert arrays(store).missing() == []
    assert torch.equal(read_whole(store, 3), torch.zeros(5, 4))


def test_a_store_of_version_0_1_is_read_mended_and_continued(tmp_path: Path, read_whole: Whole) -> None:
    path = of_version_0_1(tmp_path / "old")
    new = filled(tmp_path / "new")
    store = LatentStore(path)
    assert arrays(store).missing() == []
    for clip in range(6):
        assert torch.equal(read_whole(store, clip), read_whole(new, clip))
    (lost,) = [
        file for file in (path / "frames").rglob("*") if file.is_file() and "5" in file.relative_to(path).as_posix()
    ]
    lost.unlink()
    assert arrays(LatentStore(path)).missing() == [5]
    labelled = replace(
        ABOUT, labels={"source": ("dog", "music")}, clips=[replace(clip, labels={"source": ()}) for clip in CLIPS]
    )
    arrays(LatentStore.create(path, labelled, LONGEST)).write(5, frames(5))
    assert torch.equal(read_whole(LatentStore(path), 5), read_whole(new, 5))


@pytest.mark.parametrize("name", ["length", "checksum"])
def test_lost_numbers_mean_computed_again(path: Path, name: str) -> None:
    (path / name / "0").unlink()
    store = LatentStore(path)
    assert arrays(store).missing() == arrays(store).lost == list(range(6))


@pytest.mark.parametrize("value", [-1, LONGEST + 1, 2**30])
def test_a_length_that_cannot_be(path: Path, value: int) -> None:
    zarr.open_array(store=f"{path}/length", mode="r+")[4] = value
    with pytest.raises(ValueError, match=rf"{path}/length.*{value} .*{CLIPS[4].name}"):
        LatentStore(path)


@DISK_AND_MEMORY
def test_a_length_that_is_wrong(path: Path, in_memory: int, read_whole: Whole) -> None:
    zarr.open_array(store=f"{path}/length", mode="r+")[4] = LONGEST - 3
    with pytest.raises(ValueError, match=CLIPS[4].name):
        read_whole(LatentStore(path, in_memory=in_memory), 4)


def test_any_cut_of_the_description_is_refused(path: Path) -> None:
    about = path / "store.json"
    text = about.read_text()
    for kept in range(0, len(text), 7):
        about.write_text(text[:kept])
        with pytest.raises(ValueError, match=r"store\.json"):
            LatentStore(path)
        with pytest.raises(ValueError, match=r"store\.json"):
            LatentStore.create(path, ABOUT, LONGEST)


@pytest.mark.parametrize("key", ["clips", "frontend", "partition", "labels", "renditions", "data"])
def test_a_description_that_lacks_something(path: Path, key: str) -> None:
    about = json.loads((path / "store.json").read_text())
    for change in ({}, {key: 3}) if key != "data" else ({},):
        (path / "store.json").write_text(json.dumps({k: v for k, v in about.items() if k != key} | change))
        with pytest.raises(ValueError, match=r"store\.json"):
            LatentStore(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clips": [{"name": clip.name, "group": [0]} for clip in CLIPS]}, "groups"),
        ({"clips": [{"name": "a.wav", "group": 0}] * len(CLIPS)}, "a.wav"),
        ({"clips": [{"name": clip.name, "group": 0, "labels": {"kind": ["b"]}} for clip in CLIPS]}, "b"),
        ({"labels": {"group": ["a"]}}, "group"),
        ({"partition": {"train": [0, 1], "valid": [1], "probe": []}}, "1"),
        ({"renditions": [3]}, "3"),
        ({"frontend": {"dim": 4}}, "name"),
    ],
)
def test_a_description_that_cannot_be(path: Path, change: dict[str, Any], named: str) -> None:
    about = {**json.loads((path / "store.json").read_text()), "labels": {"kind": ["a"]}, **change}
    (path / "store.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=rf"store\.json.*{named}"):
        LatentStore(path)


def test_a_rendition_added_to_an_old_store(tmp_path: Path, read_whole: Whole) -> None:
    """Interrupted runs go on, and arrays that never had checksums are still read."""
    of_version_0_1(tmp_path)
    before = LatentStore(tmp_path)
    about = replace(before.about, renditions=(ORIGINAL, "speed(2)"), data="other words")
    LatentStore.create(tmp_path, about, LONGEST).renditions["speed(2)"].write(0, frames(0))
    after = LatentStore(tmp_path)
    assert after.digest == before.digest
    assert tuple(after.renditions) == about.renditions
    assert torch.equal(read_whole(after, 1), read_whole(before, 1))
    assert torch.equal(read_whole(after, 0, "speed(2)"), torch.from_numpy(frames(0)).float())


def test_frames_without_their_description_are_not_overwritten(path: Path) -> None:
    (path / "store.json").unlink()
    with pytest.raises(ValueError, match=r"store\.json"):
        LatentStore.create(path, ABOUT, LONGEST)
    assert chunk(path, 5).exists()


@pytest.mark.parametrize("name", ["frames", "length", "checksum"])
@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]"])
def test_an_array_that_lost_its_description(path: Path, name: str, content: str | None) -> None:
    described = path / name / ".zarray"
    described.unlink() if content is None else described.write_text(content)
    with pytest.raises(ValueError, match=f"{path}/{name}"):
        LatentStore(path)


@pytest.mark.parametrize("shape", [(6, 4), (9, 3), (9, 1), (10, 4), (0, 4), (4,)])
def test_frames_of_another_shape_are_not_stored(path: Path, shape: tuple[int, ...]) -> None:
    held = arrays(LatentStore(path, mode="r+"))
    if shape == (6, 4):
        held.write(0, np.ones(shape))
        return
    with pytest.raises(ValueError, match=CLIPS[0].name):
        held.write(0, np.ones(shape))


def test_opening_lists_the_chunks_once(path: Path, read_whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    original = LocalFileSystem.find

    def find(self: LocalFileSystem, path: str, **options: Any) -> Any:
        listed.append(path)
        return original(self, path, **options)

    monkeypatch.setattr(LocalFileSystem, "find", find)
    store = LatentStore(path)
    read_whole(store, 0), read_whole(store, 1)
    assert listed == [str(path / "frames")]


def test_pretraining_refuses_by_name_and_extraction_mends(tmp_path: Path, read_whole: Whole) -> None:
    rng = np.random.default_rng(0)
    front = load_frontend("log_mel")
    clips: list[Clip] = []
    audio: dict[str, Path] = {}
    for sensor in range(2):
        for k in range(3):
            file = tmp_path / f"{sensor:02d}_{k:06d}.wav"
            write_pcm16(file, 0.1 * rng.standard_normal(4000), front.sample_rate)
            clips.append(Clip(file.name, sensor))
            audio[file.name] = file
    about, path = Description(clips, {}, Partition((0,), (1,))), tmp_path / "store"
    store = extract(about, audio, front, path)
    whole = [read_whole(store, clip) for clip in range(6)]
    chunk(path, 1).unlink()
    chunk(path, 4).write_bytes(b"")
    recipe = replace(recipe_named("multiview_rec"), model={"width": 8, "depth": 2}, epochs=1)
    with pytest.raises(ValueError, match=rf" 2 of 6 .*{clips[1].name}, {clips[4].name}"):
        pretrain(recipe, LatentStore(path), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    with pytest.warns(UserWarning, match=rf"{path} .* 2 .*{clips[1].name}, {clips[4].name}"):
        mended = extract(about, audio, front, path)
    for clip in range(6):
        assert torch.equal(read_whole(mended, clip), whole[clip])
    shutil.rmtree(path)


def test_extraction_computes_each_rendition_once(tmp_path: Path, read_whole: Whole) -> None:
    front = load_frontend("log_mel")
    file = tmp_path / "a.wav"
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(8000) / front.sample_rate)
    write_pcm16(file, tone, front.sample_rate)
    about = Description([Clip("a.wav", 0)], {}, Partition((0,)), renditions=(ORIGINAL, "speed(2)"))
    extract(Description([Clip("a.wav", 0)], {}, Partition((0,))), {"a.wav": file}, front, tmp_path / "store")
    chunks = [tmp_path / "store" / "frames" / "0.0.0"]
    stamp = chunks[0].stat().st_mtime_ns
    store = extract(about, {"a.wav": file}, front, tmp_path / "store")
    assert chunks[0].stat().st_mtime_ns == stamp
    lengths = [int(store.lengths([0], name)[0]) for name in about.renditions]
    assert lengths == [16, 8]
    bands = [read_whole(store, 0, name).mean(0).argmax().item() for name in about.renditions]
    assert bands[1] > bands[0] + 5  # an octave higher
    file.unlink()
    assert extract(about, {"a.wav": file}, front, tmp_path / "store").digest == store.digest
    for name in ("warp(2)", "speed", "speed(1,2)"):
        with pytest.raises(ValueError, match=re.escape(repr(name))):
            extract(replace(about, renditions=(name,)), {"a.wav": file}, front, tmp_path / "other")


def test_what_zarr_was_writing_when_it_was_killed_is_removed(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    (left := tmp_path / "s" / "frames" / "1.0.0.abc.partial").write_bytes(b"half")
    (mine := tmp_path / "s" / "download.partial").write_bytes(b"mine")
    with held_store(tmp_path / "s"):
        assert not left.exists()
        assert mine.exists()
    assert LatentStore(tmp_path / "s").digest == store.digest


def test_two_that_create_a_store_at_once_leave_each_other_what_they_compute(tmp_path: Path) -> None:
    """The second one, which found nothing when it began, waits, and finds the first one's frames."""
    sounds = {clip.name: tmp_path / clip.name for clip in CLIPS}
    for k, path in enumerate(sounds.values()):
        write_pcm16(path, np.random.default_rng(k).normal(0, 0.1, 4000), 16_000)
    computed: list[int] = []
    front = load_frontend("log_mel")
    stream = front.stream

    def counted(audio: torch.Tensor) -> Any:
        computed.append(1)
        return stream(audio)

    front.stream = counted  # type: ignore[method-assign, assignment]
    about = Description(CLIPS, {}, Partition((0,), (1,), (2,)), data="words")
    both = [threading.Thread(target=lambda: extract(about, sounds, front, tmp_path / "s")) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(computed) == len(CLIPS) + 1  # and the longest clip once more, for the size of the arrays
    LatentStore(tmp_path / "s").require()
