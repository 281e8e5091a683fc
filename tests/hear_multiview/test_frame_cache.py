"""The frame cache: the same frames to the bit, each clip computed once, nothing damaged ever served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import hear_multiview
from hear_multiview import frame_cache as cache
from hear_multiview.embedder import Embedder

Noise = Callable[..., Tensor]


@pytest.fixture
def model() -> Embedder:
    return hear_multiview.load_model(view="frontend", frontend="demo")


@pytest.fixture
def computed(model: Embedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that the front end is really run."""
    calls: list[int] = []
    original = model.frontend.stream

    def counted(audio: Tensor) -> Iterator[Tensor]:
        calls.append(len(audio))
        return original(audio)

    monkeypatch.setattr(model.frontend, "stream", counted)
    return calls


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "frames"))
    return tmp_path / "frames"


def test_off_unless_asked_for(
    noise: Noise, model: Embedder, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    for _ in range(2):
        hear_multiview.get_scene_embeddings(noise(1, 0.3), model)
    assert computed == [1, 1]


def test_second_time_is_the_same_to_the_bit_and_computes_nothing(
    noise: Noise, model: Embedder, computed: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = noise(3, 2.5)
    first = hear_multiview.get_timestamp_embeddings(audio, model)
    assert computed == [1, 1, 1]
    monkeypatch.setattr(cache, "STRETCH", 50)  # so that an entry is read in several stretches
    second = hear_multiview.get_timestamp_embeddings(audio, model)
    assert computed == [1, 1, 1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    monkeypatch.delenv(cache.VARIABLE)
    assert torch.equal(hear_multiview.get_timestamp_embeddings(audio, model)[0], first[0])
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:1000] + bytes([b[1000] ^ 1]) + b[1001:], lambda b: b""]
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
        for seed in (0, 1):
            hear_multiview.get_scene_embeddings(noise(1, 0.3, seed), model)
    assert len(list(folder.iterdir())) == 4


def test_an_abandoned_computation_leaves_nothing(noise: Noise, model: Embedder, folder: Path) -> None:
    frames = cache.stream(model.frontend, noise(1, 3.0))
    next(frames)
    frames.close()  # type: ignore[attr-defined]
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
    noise: Noise, model: Embedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = noise(1, 0.5)
    (whole,) = cache.stream(model.frontend, audio)
    half = model.frontend.dim // 2
    monkeypatch.setattr(model.frontend, "dim", half)
    monkeypatch.setattr(model.frontend, "stream", lambda audio: iter([whole[:, :, :half]]))
    assert torch.equal(torch.cat(list(cache.stream(model.frontend, audio)), dim=1), whole[:, :, :half])


def test_a_folder_in_place_of_an_entry_is_named(noise: Noise, model: Embedder, folder: Path) -> None:
    list(cache.stream(model.frontend, noise(1, 0.3)))
    (entry,) = folder.iterdir()
    entry.unlink()
    entry.mkdir()
    with pytest.raises(ValueError, match=f"{entry} cannot be read"):
        list(cache.stream(model.frontend, noise(1, 0.3)))


def test_a_file_in_place_of_the_folder_is_named(noise: Noise, model: Embedder, folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(ValueError, match=f"{folder}.*{cache.VARIABLE}"):
        list(cache.stream(model.frontend, noise(1, 0.3)))
