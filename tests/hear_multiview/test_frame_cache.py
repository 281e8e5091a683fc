"""The frame cache: the same frames to the bit, each clip computed once, nothing damaged ever served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import hear_multiview
from hear_multiview.embedder import Embedder
from hear_multiview.frame_cache import VARIABLE, FrameCache
from sonyc_tasks.files import TEMPORARY

Noise = Callable[..., Tensor]
Stream = Callable[[Tensor], Iterator[tuple[Tensor, Tensor]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "frames"


@pytest.fixture
def model(folder: Path) -> Embedder:
    model = hear_multiview.load_model(view="frontend", frontend="demo")
    model.cache = FrameCache(folder)
    return model


@pytest.fixture
def cached(model: Embedder) -> Stream:
    """The front end's stream through the cache."""
    assert model.cache is not None
    cache = model.cache
    return lambda audio: cache.stream(model.frontend, audio)


@pytest.fixture
def computed(model: Embedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that the front end is really run."""
    calls: list[int] = []
    original = model.frontend.stream

    def counted(audio: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        calls.append(len(audio))
        return original(audio)

    monkeypatch.setattr(model.frontend, "stream", counted)
    return calls


def test_the_environment_gives_the_default(monkeypatch: pytest.MonkeyPatch, folder: Path, noise: Noise) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert hear_multiview.load_model().cache is None
    monkeypatch.setenv(VARIABLE, "")
    assert FrameCache.from_environment() is None
    monkeypatch.setenv(VARIABLE, str(folder))
    model = hear_multiview.load_model()
    assert model.cache == FrameCache(folder)
    monkeypatch.delenv(VARIABLE)
    hear_multiview.get_scene_embeddings(noise(2, 0.3), model)
    assert len(list(folder.iterdir())) == 2


def test_off_unless_asked_for(noise: Noise, model: Embedder, computed: list[int]) -> None:
    model.cache = None
    for _ in range(2):
        hear_multiview.get_scene_embeddings(noise(1, 0.3), model)
    assert computed == [1, 1]


def test_second_time_is_the_same_to_the_bit_and_computes_nothing(
    noise: Noise, model: Embedder, computed: list[int], folder: Path
) -> None:
    audio = noise(2, 13.0)  # an entry of two chunks
    first = hear_multiview.get_timestamp_embeddings(audio, model)
    assert computed == [1, 1]
    second = hear_multiview.get_timestamp_embeddings(audio, model)
    assert computed == [1, 1]
    model.cache = None
    without = hear_multiview.get_timestamp_embeddings(audio, model)
    for found in (second, without):
        assert all(torch.equal(a, b) for a, b in zip(first, found, strict=True))
    assert len(list(folder.iterdir())) == 2


def test_chunks_come_back_as_they_went_in_batches_too(noise: Noise, cached: Stream, computed: list[int]) -> None:
    audio = noise(3, 13.0)
    first, second = (list(cached(audio)) for _ in range(2))
    assert computed == [3]
    assert [len(times) for _, times in first] == [1024, 96]
    for (frames, times), (held, held_times) in zip(first, second, strict=True):
        assert torch.equal(held, frames)
        assert torch.equal(held_times, times)
    list(cached(audio[:1]))
    assert computed == [3, 1], "a clip alone may round otherwise than in a batch"


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:1000] + bytes([b[1000] ^ 1]) + b[1001:], lambda b: b"", lambda b: b[:31]]
)
def test_a_damaged_entry_is_computed_again(
    noise: Noise, model: Embedder, computed: list[int], folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    first = hear_multiview.get_scene_embeddings(noise(1, 0.5), model)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert torch.equal(hear_multiview.get_scene_embeddings(noise(1, 0.5), model), first)
    assert computed == [1, 1]
    assert entry.read_bytes() == whole


def test_audio_weights_and_precision_have_entries_of_their_own(noise: Noise, folder: Path) -> None:
    for precision in ("fp32", "bf16"):
        model = hear_multiview.load_model(view="frontend", frontend="demo", precision=precision)
        model.cache = FrameCache(folder)
        for seed in (0, 1):
            hear_multiview.get_scene_embeddings(noise(1, 0.3, seed), model)
    assert len(list(folder.iterdir())) == 4


def test_an_abandoned_computation_leaves_nothing(noise: Noise, cached: Stream, folder: Path) -> None:
    chunks = cached(noise(1, 3.0))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert list(folder.iterdir()) == []


def test_two_at_once_agree(noise: Noise, model: Embedder, folder: Path) -> None:
    results: list[Tensor] = []
    threads = [
        threading.Thread(target=lambda: results.append(hear_multiview.get_scene_embeddings(noise(4, 1.0), model)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)  # how threads divide the work depends on the others
    assert len(list(folder.iterdir())) == 4


def test_another_number_of_dimensions_has_entries_of_its_own(
    noise: Noise,
    model: Embedder,
    cached: Stream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audio = noise(1, 0.5)
    ((whole, times),) = cached(audio)
    half = model.frontend.dim // 2
    monkeypatch.setattr(model.frontend, "dim", half)
    monkeypatch.setattr(model.frontend, "stream", lambda audio: iter([(whole[:, :, :half], times)]))
    ((found, _),) = cached(audio)
    assert torch.equal(found, whole[:, :, :half])


def test_a_folder_in_place_of_an_entry_is_named(noise: Noise, cached: Stream, folder: Path) -> None:
    list(cached(noise(1, 0.3)))
    (entry,) = folder.iterdir()
    entry.unlink()
    entry.mkdir()
    with pytest.raises(ValueError, match=str(entry)):
        list(cached(noise(1, 0.3)))


def test_a_file_in_place_of_the_folder_is_named(noise: Noise, cached: Stream, folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(ValueError, match=f"{folder}.*{VARIABLE}"):
        list(cached(noise(1, 0.3)))


def test_what_a_killed_process_left_is_removed_where_every_clip_is_there(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{TEMPORARY}0123456789ab.frames").write_bytes(b"half")
    FrameCache(folder)
    assert list(folder.iterdir()) == []
