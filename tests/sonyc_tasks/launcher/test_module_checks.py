"""What the launcher asks of a HEAR module: sound modules pass without a word, each fault is named."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hear_multiview.frame_cache import FrameCache
from sonyc_tasks.launcher.module_checks import SECONDS, check_module, check_times, noise, sample_rate

RATE, HOP, DIM = 8000, 200, 6
HOP_MS = 1000 * HOP / RATE


class Model(nn.Module):
    """A linear map of frames, with whatever a test puts in between."""

    weight: torch.Tensor

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.sample_rate: Any = RATE
        self.parts = nn.Sequential(*parts)
        self.register_buffer("weight", torch.randn(HOP, DIM, generator=torch.Generator().manual_seed(0)))
        self.eval()

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        frames = audio.unfold(1, HOP, HOP) @ self.weight
        return self.parts(frames.transpose(1, 2)).transpose(1, 2)


def loaded(model: Any, change: Callable[..., Any] = lambda *result: result, name: str = "tried") -> Any:
    """As heareval holds a module; ``change`` is made to what its two functions return."""

    def scene(audio: torch.Tensor, model: Any) -> torch.Tensor:
        return change(model(audio).mean(1))[0]

    def frames(audio: torch.Tensor, model: Any) -> Any:
        embeddings = model(audio)
        times = (torch.arange(embeddings.shape[1]) + 0.5) * HOP_MS
        return change(embeddings, times.expand(len(audio), -1))

    module = SimpleNamespace(__name__=name, get_scene_embeddings=scene, get_timestamp_embeddings=frames)
    return wrapped(module, model)


def wrapped(module: Any, model: Any) -> Any:
    def both(audio: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        embeddings, times = module.get_timestamp_embeddings(audio, model)
        return embeddings.numpy(), times.numpy()

    return SimpleNamespace(
        module=module,
        model=model,
        get_scene_embedding_as_numpy=lambda audio: module.get_scene_embeddings(audio, model).numpy(),
        get_timestamp_embedding_as_numpy=both,
    )


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    "name",
    ["hear_multiview", "hear_multiview.references.mel_statistics", "hear_multiview.references.random_projection"],
)
def test_our_modules_pass_without_a_word(name: str) -> None:
    module = import_module(name)
    assert check_module(wrapped(module, module.load_model()), {"scene", "event"}) == []


def scaled_times(factor: float) -> Callable[..., Any]:
    return lambda embeddings, *times: (embeddings, *(one * factor for one in times))


def with_nan(embeddings: torch.Tensor, *times: torch.Tensor) -> Any:
    embeddings = embeddings.clone()
    embeddings[0, -1] = torch.nan
    return (embeddings, *times)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (scaled_times(1 / 1000), "seconds"),
        (scaled_times(RATE / 1000), "milliseconds"),
        (scaled_times(1 / HOP_MS), "milliseconds"),
        (lambda e, t: (e, t.flip(1)), "rise"),
        (lambda e, t: (e, t.clone().fill_(1000)), "rise"),
        (lambda e, t: (e, t * torch.nan), "finite"),
        (lambda e, t: (e, t**2 / 2000), "apart"),
        (lambda e, t: (e, t[:, 1:]), r"\(2, 80, 6\) and \(2, 79\)"),
        (lambda e, t: (e[:, :0], t[:, :0]), "frame"),
    ],
)
def test_each_fault_of_timestamps_is_named(change: Callable[..., Any], words: str) -> None:
    module = loaded(Model(), change)
    with pytest.raises(ValueError, match=words) as caught:
        check_module(module, {"event"})
    assert "tried" in str(caught.value)


@pytest.mark.parametrize("kind", ["scene", "event"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_nan, "not finite"),
        (lambda e, *t: (e / 0, *t), "not finite"),
        (lambda e, *t: (e[:1], *t), r"\[clip, "),
        (lambda e, *t: (e[..., 0], *t), r"\[clip, "),
        (lambda e, *t: (e.long(), *t), "int64"),
    ],
)
def test_each_fault_of_embeddings_is_named(change: Callable[..., Any], words: str, kind: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        check_module(loaded(Model(), change), {kind})
    assert "tried" in str(caught.value)


@pytest.mark.parametrize("kind", ["scene", "event"])
def test_dropout_in_train_mode_is_found(kind: str) -> None:
    model = Model(nn.Dropout(0.1))
    assert check_module(loaded(model), {kind}) == []
    model.parts[0].train()  # as where load_model adds a head after eval()
    with pytest.raises(ValueError, match="Dropout"):
        check_module(loaded(model), {kind})


def test_batch_norm_in_train_mode_is_found() -> None:
    model = Model(nn.BatchNorm1d(DIM))
    assert check_module(loaded(model), {"scene"}) == []
    model.train()
    with pytest.raises(ValueError, match=r"BatchNorm1d"):
        check_module(loaded(model), {"event"})


def test_train_mode_that_changes_nothing_is_doubted() -> None:
    model = Model()
    model.train()
    (doubt,) = check_module(loaded(model), {"scene"})
    assert "train mode" in doubt


def test_what_heareval_would_take_is_doubted() -> None:
    (doubt,) = check_module(loaded(Model(), lambda e, *t: (e.double(), *t)), {"scene"})
    assert "float64" in doubt
    (doubt,) = check_module(loaded(Model(), lambda e, *t: (e * len(e), *t)), {"scene"})
    assert "batch" in doubt


def test_only_what_is_asked_for_is_tried() -> None:
    broken = loaded(Model(), scaled_times(0.001))
    assert check_module(broken, {"scene"}) == []
    del broken.module.get_timestamp_embeddings
    assert check_module(broken, {"scene"}) == []
    with pytest.raises(ValueError, match="get_timestamp_embeddings"):
        check_module(broken, {"event"})


def test_a_failing_module_is_named_with_the_length() -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the size of tensor a must match\nand so on")

    with pytest.raises(ValueError, match=r"tried.*16000 samples.*size of tensor a must match\)") as caught:
        check_module(loaded(Model(), fail), {"scene"})
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("rate", [None, "16000", 16000.0, 0, -1, True])
def test_no_sample_rate(rate: Any) -> None:
    model = Model()
    model.sample_rate = rate
    with pytest.raises(ValueError, match="sample_rate"):
        sample_rate(loaded(model))
    model.sample_rate = np.int64(RATE)
    assert sample_rate(loaded(model)) == RATE


@pytest.mark.parametrize(("kind", "kept"), [(FrameCache, False), (Path, True)])
def test_the_cache_is_not_asked(kind: Callable[[Path], Any], kept: bool, tmp_path: Path) -> None:
    model, asked = Model(), list[object]()
    model.cache = cache = kind(tmp_path)  # another's attribute of that name is left alone

    def record(*result: object) -> object:
        asked.append(model.cache)
        return result

    check_module(loaded(model, record), {"scene"})
    assert asked
    assert all(seen is (cache if kept else None) for seen in asked)
    assert model.cache is cache


def test_the_noise_is_faint_and_the_same() -> None:
    one = noise(RATE)
    assert one.shape == (2, SECONDS * RATE)
    assert one.dtype == torch.float32
    assert torch.equal(one, noise(RATE))
    assert 0 < one.abs().max() < 0.1
    assert not torch.equal(one[0], one[1])


@given(hop=st.floats(5, 500), start=st.floats(0, 1))
def test_frames_over_the_whole_clip_pass_and_in_other_units_do_not(hop: float, start: float) -> None:
    """Wherever in its hop a frame's time is."""
    times = np.arange(start * hop, 2000, hop)
    check_times("tried", times, 2000.0)
    check_times("tried", times[:-1] if hop <= 50 else times, 2000.0)  # a module that does not pad the audio
    with pytest.raises(ValueError, match="seconds"):
        check_times("tried", times / 1000, 2000.0)
    for factor in (1e-6, 44.1, 16.0, 1000.0):
        with pytest.raises(ValueError, match="milliseconds"):
            check_times("tried", times * factor, 2000.0)
