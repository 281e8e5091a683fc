"""The latent store: what is written comes back within half precision, cuts are right, and it refuses mix-ups."""

from __future__ import annotations

from collections.abc import Iterator
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

from sonyc_tasks.dataset.splits import SensorSplit
from training.data import store as module
from training.data.store import LatentStore, StoredClip

CLIPS = [StoredClip(f"00_{k:06d}.wav", 0) for k in range(3)]
FRONTEND = {"name": "demo", "sha256": "0" * 64, "dim": 4, "hop": 512, "sample_rate": 44_100}
SPLIT = SensorSplit((0,), (1,), (2,))
LENGTHS = (10, 7, 9)


def frames(clip: int) -> np.ndarray:
    """Frame i of clip c starts with (c, i), so that a cut can be recognised; the rest is noise."""
    noise = np.random.default_rng(clip).normal(size=(LENGTHS[clip], 4)) * 3
    noise[:, 0], noise[:, 1] = clip, np.arange(LENGTHS[clip])
    return noise


@pytest.fixture
def full(tmp_path: Path) -> LatentStore:
    store = LatentStore.create(tmp_path / "store", CLIPS, FRONTEND, max(LENGTHS), SPLIT, "words")
    for index in range(3):
        store.write(index, frames(index))
    return store


@pytest.mark.parametrize("in_memory", [module.IN_MEMORY, 0])
def test_round_trip_within_half_precision(full: LatentStore, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", in_memory)
    again = LatentStore(full.path)
    assert (again.clips, again.frontend, again.split, again.data) == (CLIPS, FRONTEND, SPLIT, "words")
    for index in range(3):
        read = again.read([index])[0].numpy()
        assert read.shape == (LENGTHS[index], 4)
        np.testing.assert_allclose(read, frames(index), rtol=2**-11, atol=2**-24)


def test_clips_of_unequal_length_are_cut_to_the_shortest(full: LatentStore) -> None:
    x = full.read([0, 1, 2])
    assert x.shape == (3, 7, 4)
    assert x[:, 0, :2].tolist() == [[0, 0], [1, 0], [2, 0]]


def test_a_random_cut_is_a_run_of_neighbouring_frames(full: LatentStore) -> None:
    generator = torch.Generator().manual_seed(0)
    starts = set()
    for _ in range(50):
        position = full.read([0], crop=4, generator=generator)[0, :, 1]
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
    def create() -> LatentStore:
        return LatentStore.create(tmp_path / "s", CLIPS, FRONTEND, 10, SPLIT, "words")

    create().write(1, frames(1))
    again = create()
    assert again.missing() == [0, 2]
    assert again.read([1]).shape == (1, 7, 4)


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
    full: LatentStore, where: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"memory://{uuid4().hex}/s" if where == "memory" else request.getfixturevalue(where)
    with pytest.raises(FileNotFoundError, match=f"{address} is not a latent store: make it with"):
        LatentStore(address)
    for index in range(3):  # each time as if interrupted
        LatentStore.create(address, CLIPS, FRONTEND, max(LENGTHS), SPLIT, "words").write(index, frames(index))
    with pytest.raises(ValueError, match="has another clips"):
        LatentStore.create(address, CLIPS[:2], FRONTEND, max(LENGTHS), SPLIT, "words")
    for in_memory in (module.IN_MEMORY, 0):
        monkeypatch.setattr(module, "IN_MEMORY", in_memory)
        again = LatentStore(address)
        assert again.digest == full.digest
        assert not again.missing()
        for index in range(3):
            assert torch.equal(again.read([index]), full.read([index]))


def test_what_a_bucket_has_lost(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    store = LatentStore.create(bucket, CLIPS, FRONTEND, max(LENGTHS), SPLIT, "words")
    for index in range(3):
        store.write(index, frames(index))
    opened = LatentStore(bucket)
    files, root = fsspec.core.url_to_fs(bucket)
    files.rm_file(f"{root}/frames/1.0.0")
    files.pipe_file(f"{root}/frames/2.0.0", b"cut")
    for index in (1, 2):
        with pytest.raises(ValueError, match=rf"clip {CLIPS[index].name} of the latent store {bucket}"):
            opened.read([index])
    assert LatentStore(bucket).missing() == [1, 2]


def test_a_service_that_cannot_be_reached() -> None:
    class Unreachable(MemoryFileSystem):
        """As botocore's errors, this one is no OSError."""

        protocol = "unreachable"

        def cat_file(self, *_: object, **__: object) -> bytes:
            raise RuntimeError("no answer")

    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    for opening in (
        lambda: LatentStore("unreachable://s"),
        lambda: LatentStore.create("unreachable://s", CLIPS, FRONTEND, 9, SPLIT, ""),
    ):
        with pytest.raises(OSError, match=r"unreachable://s cannot be reached \(no answer\)"):
            opening()


def test_an_address_whose_library_is_absent() -> None:
    fsspec.register_implementation("cellar", "no_such_library.FileSystem", errtxt="Install no_such_library")
    message = r"cellar://s cannot be opened \(Install no_such_library\): install the extra `remote`"
    with pytest.raises(ValueError, match=message):
        LatentStore("cellar://s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": CLIPS[:2]}, "has another clips"),
        ({"frontend": {**FRONTEND, "sha256": "1" * 64}}, "has another frontend"),
        ({"split": SensorSplit((1,), (0,), (2,))}, "has another split"),
    ],
)
def test_a_store_for_something_else_is_refused(full: LatentStore, change: dict[str, object], message: str) -> None:
    given = {"clips": CLIPS, "frontend": FRONTEND, "frames": 10, "split": SPLIT, "data": "words", **change}
    with pytest.raises(ValueError, match=message + ": delete it or choose another path"):
        LatentStore.create(full.path, **given)  # type: ignore[arg-type]


def test_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a latent store: make it with `python -m training latents`"):
        LatentStore(tmp_path)


def test_values_beyond_half_precision_are_refused(full: LatentStore) -> None:
    with pytest.raises(ValueError, match=r"latents of 00_000000\.wav do not fit half precision \(largest 1e\+05\)"):
        full.write(0, np.full((10, 4), 1e5))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=6), st.integers(1, 12), st.integers(0, 3))
def test_any_batch_is_rectangular_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, indices: list[int], crop: int, seed: int
) -> None:
    store = LatentStore.create(tmp_path_factory.mktemp("s") / "store", CLIPS, FRONTEND, 10, SPLIT, "")
    for index in range(3):
        store.write(index, frames(index))
    x = store.read(indices, crop, torch.Generator().manual_seed(seed))
    assert x.shape == (len(indices), min(crop, *(LENGTHS[i] for i in indices)), 4)
    assert x[:, 0, 0].tolist() == indices
