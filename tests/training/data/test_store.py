"""The latent store: what is written comes back within half precision, cuts are right, and it refuses mix-ups."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import pytest
import s3fs
import torch
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from training.data.batches import cut
from training.data.on_device import DeviceFrames
from training.data.records import ORIGINAL, Clip, Description, Partition, Segment
from training.data.store import IN_MEMORY, LatentStore
from training.data.views import Examples

Whole = Callable[..., torch.Tensor]
CLIPS = [Clip(f"00_{k:06d}.wav", 0, {"source": ("dog",)[: k % 2]}) for k in range(3)]
FRONTEND = {"name": "demo", "sha256": "0" * 64, "dim": 4, "hop": 512, "sample_rate": 44_100}
ABOUT = Description(CLIPS, FRONTEND, Partition((0,), (1,), (2,)), {"source": ("dog", "music")}, data="words")
LENGTHS = (10, 7, 9)


def frames(clip: int) -> np.ndarray:
    """Frame i of clip c starts with (c, i), so that a cut can be recognised; the rest is noise."""
    noise = np.random.default_rng(clip).normal(size=(LENGTHS[clip], 4)) * 3
    noise[:, 0], noise[:, 1] = clip, np.arange(LENGTHS[clip])
    return noise


@pytest.fixture
def full(tmp_path: Path) -> LatentStore:
    return filled(tmp_path / "store")


def filled(path: Path | str, about: Description = ABOUT) -> LatentStore:
    """A store of ``about`` with every clip's `frames` in every rendition."""
    store = LatentStore.create(path, about, max(LENGTHS))
    for arrays in store.renditions.values():
        for index in range(3):
            arrays.write(index, frames(index))
    return store


def cut_from(store: LatentStore, clips: list[int], crop: int | None, seed: int) -> torch.Tensor:
    """One view of the ``clips``, cut to one length, [clip, frame, dim]."""
    examples = Examples(np.array(clips)[:, None])
    (segments,) = cut(store, examples, np.arange(len(clips)), crop, torch.Generator().manual_seed(seed))
    return store.read(segments)


@pytest.mark.parametrize("in_memory", [IN_MEMORY, 0])
def test_round_trip_within_half_precision(full: LatentStore, in_memory: int, read_whole: Whole) -> None:
    again = LatentStore(full.path, in_memory=in_memory)
    assert again.about == ABOUT
    for index in range(3):
        read = read_whole(again, index).numpy()
        assert read.shape == (LENGTHS[index], 4)
        np.testing.assert_allclose(read, frames(index), rtol=2**-11, atol=2**-24)


def test_clips_of_unequal_length_are_cut_to_the_shortest(full: LatentStore) -> None:
    x = cut_from(full, [0, 1, 2], None, 0)
    assert x.shape == (3, 7, 4)
    assert x[:, 0, 0].tolist() == [0, 1, 2]


def test_a_random_cut_is_a_run_of_neighbouring_frames(full: LatentStore) -> None:
    starts = set()
    for seed in range(80):
        position = cut_from(full, [0], 4, seed)[0, :, 1]
        assert torch.equal(position, position[0] + torch.arange(4.0))
        starts.add(int(position[0]))
    assert starts == set(range(7))


def test_statistics_are_those_of_all_frames(full: LatentStore) -> None:
    mean, deviation = full.statistics([0, 2])
    both = np.concatenate([frames(0), frames(2)])
    np.testing.assert_allclose(mean, both.mean(0), atol=2e-3)
    np.testing.assert_allclose(deviation, both.std(0), atol=2e-3)


def test_a_constant_dimension_is_not_blown_up(full: LatentStore) -> None:
    assert full.statistics([1])[1][0] == 1


def test_an_interrupted_extraction_is_continued(tmp_path: Path) -> None:
    LatentStore.create(tmp_path / "s", ABOUT, 10).renditions[ORIGINAL].write(1, frames(1))
    again = LatentStore.create(tmp_path / "s", ABOUT, 10)
    assert again.renditions[ORIGINAL].missing() == [0, 2]
    assert again.lengths([1]).tolist() == [7]


def test_renditions_are_added_to_a_store_and_those_it_has_stay(tmp_path: Path, read_whole: Whole) -> None:
    filled(tmp_path / "s")
    more = replace(ABOUT, renditions=(ORIGINAL, "speed(1.5)", "separated(1)"))
    store = LatentStore.create(tmp_path / "s", more, {"speed(1.5)": 20, "separated(1)": 10}.__getitem__)
    assert store.digest == LatentStore.create(tmp_path / "s", ABOUT, 10).digest
    assert store.renditions[ORIGINAL].missing() == []
    assert store.renditions["speed(1.5)"].missing() == [0, 1, 2]
    store.renditions["speed(1.5)"].write(0, np.full((20, 4), 7.0))
    again = LatentStore(tmp_path / "s")
    assert again.about.renditions == more.renditions
    assert torch.equal(read_whole(again, 0, "speed(1.5)"), torch.full((20, 4), 7.0))
    np.testing.assert_allclose(read_whole(again, 0), frames(0), rtol=2**-11, atol=2**-24)
    with pytest.raises(ValueError, match="pitch"):
        again.require(renditions=["pitch(2)"])
    with pytest.raises(ValueError, match=CLIPS[1].name):
        again.require(renditions=["speed(1.5)"])


def test_a_store_of_version_0_2_is_read(full: LatentStore, read_whole: Whole) -> None:
    """It had a sensor and sources where there are a group and labels now."""
    path = Path(str(full.path)) / "store.json"
    clips = [{"name": clip.name, "sensor": clip.group, "sources": list(clip.labels["source"])} for clip in CLIPS]
    split = {"train": [0], "valid": [1], "probe": [2], "rule": "by hand", "seed": None}
    old = {"data": "words", "frontend": FRONTEND, "split": split, "clips": clips, "checksum": True}
    path.write_text(json.dumps(old))
    store = LatentStore(full.path)
    assert list(store.clips) == CLIPS
    assert store.about.partition == ABOUT.partition
    assert store.about.labels == {"source": ("dog",)}
    assert LatentStore.create(full.path, ABOUT, 10).digest == store.digest  # continued, though ABOUT has more classes
    with pytest.raises(ValueError, match="frontend"):
        LatentStore.create(full.path, replace(ABOUT, frontend={**FRONTEND, "sha256": "1" * 64}), 10)
    assert torch.equal(read_whole(store, 2), read_whole(full, 2))


@pytest.fixture
def bucket() -> Iterator[str]:
    """An address on a local server that speaks as S3 does."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    options = {
        "endpoint_url": "http://{}:{}".format(*server.get_host_and_port()),
        "key": "a",
        "secret": "b",
    }
    before = dict(fsspec.config.conf)
    fsspec.config.conf["s3"] = options
    name = f"sounds-{uuid4().hex}"  # the server's memory outlives the server
    s3fs.S3FileSystem(**options).mkdir(name)
    yield f"s3://{name}/latents"
    fsspec.config.conf.clear()
    fsspec.config.conf.update(before)
    server.stop()


@pytest.mark.parametrize("where", ["memory", "bucket"])
def test_a_store_elsewhere_is_as_one_on_a_disk(
    full: LatentStore, where: str, request: pytest.FixtureRequest, read_whole: Whole
) -> None:
    address = f"memory://{uuid4().hex}/s" if where == "memory" else request.getfixturevalue(where)
    with pytest.raises(FileNotFoundError, match=address):
        LatentStore(address)
    for index in range(3):  # each time as if interrupted
        LatentStore.create(address, ABOUT, max(LENGTHS)).renditions[ORIGINAL].write(index, frames(index))
    with pytest.raises(ValueError, match="clips"):
        LatentStore.create(address, replace(ABOUT, clips=CLIPS[:2]), max(LENGTHS))
    for in_memory in (IN_MEMORY, 0):
        again = LatentStore(address, in_memory=in_memory)
        assert again.digest == full.digest
        assert not again.renditions[ORIGINAL].missing()
        for index in range(3):
            assert torch.equal(read_whole(again, index), read_whole(full, index))


@pytest.mark.parametrize("in_memory", [0, IN_MEMORY])
def test_frames_on_a_device_are_those_of_the_store(tmp_path: Path, in_memory: int) -> None:
    """Any device gathers alike; here it is the CPU."""
    store = filled(tmp_path / "store")
    arrays = LatentStore(store.path, in_memory=in_memory).renditions[ORIGINAL]
    held = DeviceFrames(arrays, torch.device("cpu"))
    clips, starts = [2, 0, 1, 0], [3, 4, 1, 0]
    segments = [Segment(clip, ORIGINAL, start, 6) for clip, start in zip(clips, starts, strict=True)]
    assert torch.equal(held.read(clips, starts, 6), store.read(segments))


def test_a_batch_of_several_renditions_is_in_order(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", replace(ABOUT, renditions=(ORIGINAL, "speed(2)")))
    names = [ORIGINAL, "speed(2)", ORIGINAL, "speed(2)"]
    x = store.read([Segment(clip, name, clip, 3) for clip, name in zip((1, 0, 2, 2), names, strict=True)])
    assert x[:, :, 0].tolist() == [[1] * 3, [0] * 3, [2] * 3, [2] * 3]
    assert x[:, 0, 1].tolist() == [1, 0, 2, 2]


def test_a_batch_stays_as_it_is_while_others_are_read(full: LatentStore) -> None:
    first = full.read([Segment(0, ORIGINAL, 0, 7)])
    kept = first.clone()
    for _ in range(3):
        full.read([Segment(1, ORIGINAL, 0, 7)])
    assert torch.equal(first, kept)


def test_what_a_bucket_has_lost(bucket: str) -> None:
    filled(bucket)
    opened = LatentStore(bucket, in_memory=0)
    files, root = fsspec.core.url_to_fs(bucket)
    files.rm_file(f"{root}/frames/1.0.0")
    files.pipe_file(f"{root}/frames/2.0.0", b"cut")
    for index in (1, 2):
        with pytest.raises(ValueError, match=rf"{CLIPS[index].name}.*{bucket}"):
            opened.read([Segment(index, ORIGINAL, 0, 7)])
    assert LatentStore(bucket).renditions[ORIGINAL].missing() == [1, 2]


def test_a_service_that_cannot_be_reached() -> None:
    class Unreachable(MemoryFileSystem):
        """As botocore's errors, this one is no OSError."""

        protocol = "unreachable"

        def cat_file(self, *_: object, **__: object) -> bytes:
            raise RuntimeError("no answer")

    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    for opening in (
        lambda: LatentStore("unreachable://s"),
        lambda: LatentStore.create("unreachable://s", ABOUT, 9),
    ):
        with pytest.raises(OSError, match=r"unreachable://s.*no answer"):
            opening()


def test_an_address_whose_library_is_absent() -> None:
    fsspec.register_implementation("cellar", "no_such_library.FileSystem", errtxt="Install no_such_library")
    with pytest.raises(ValueError, match=r"cellar://s.*no_such_library.*`remote`"):
        LatentStore("cellar://s")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clips": CLIPS[:2]}, "clips"),
        ({"frontend": {**FRONTEND, "sha256": "1" * 64}}, "frontend"),
        ({"partition": Partition((1,), (0,), (2,))}, "partition"),
        ({"labels": {"source": ("music", "dog")}}, "labels"),
    ],
)
def test_a_store_for_something_else_is_refused(full: LatentStore, change: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=f"{full.path}.* {named};"):
        LatentStore.create(full.path, replace(ABOUT, **change), 10)  # type: ignore[arg-type]


def test_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        LatentStore(tmp_path)


def test_values_beyond_half_precision_are_refused(full: LatentStore) -> None:
    with pytest.raises(ValueError, match=r"00_000000\.wav.*1e\+05"):
        full.renditions[ORIGINAL].write(0, np.full((10, 4), 1e5))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=6), st.integers(1, 12), st.integers(0, 3))
def test_any_batch_is_rectangular_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, indices: list[int], crop: int, seed: int
) -> None:
    x = cut_from(filled(tmp_path_factory.mktemp("s") / "store"), indices, crop, seed)
    assert x.shape == (len(indices), min(crop, *(LENGTHS[i] for i in indices)), 4)
    assert x[:, 0, 0].tolist() == indices
