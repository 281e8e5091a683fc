"""HEAR modules as front ends, against the modules themselves."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.embedder import Embedder
from hear_multiview.encoders.private_shared import VIEWS, PrivateSharedEncoder
from hear_multiview.frame_cache import FrameCache
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.base import FrontEnd
from hear_multiview.references import mel_statistics, random_projection
from training.data.extraction import frontend_record

REFERENCES = pytest.mark.parametrize(
    "module", [mel_statistics, random_projection], ids=lambda module: module.__name__.rsplit(".", 1)[1]
)
#: A module as others write them, at numbers unlike ours: 22,050 Hz, a frame each 10 ms (220.5 samples) from time 0 on,
#: so floor(seconds / 0.01) + 1 frames, of 5 dimensions; it loads a file, counts its runs, and is born in training mode.
THEIRS = """
import torch

calls = []
HOP_MS = 10.0


class Model(torch.nn.Module):
    sample_rate, scene_embedding_size, timestamp_embedding_size = 22_050, 5, 5

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.arange(1.0, 6.0))
        self.drop = torch.nn.Dropout(0.5)


def load_model(model_file_path=""):
    model = Model()
    if model_file_path:
        model.load_state_dict(torch.load(model_file_path, weights_only=True))
    return model


def get_timestamp_embeddings(audio, model):
    calls.append(tuple(audio.shape))
    frames = int(audio.shape[1] / 22.05 / HOP_MS + 1e-6) + 1
    padded = torch.nn.functional.pad(audio, (110, 331))
    centres = (torch.arange(frames) * 220.5).long()
    level = padded.unfold(1, 220, 1)[:, centres].square().mean(-1, keepdim=True).sqrt()
    times = (torch.arange(frames) * HOP_MS).expand(len(audio), -1)
    return model.drop(level * model.scale), times


def get_scene_embeddings(audio, model):
    return get_timestamp_embeddings(audio, model)[0].mean(1)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """``write(name, source)``: an importable module with that source, forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        module = import_module(name)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


@pytest.fixture
def theirs(write: Callable[..., ModuleType]) -> ModuleType:
    return write("theirs", THEIRS)


def sound(rate: int, clips: int, seconds: float, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(clips, round(seconds * rate), generator=torch.Generator().manual_seed(seed))


def frames_of(front: FrontEnd, audio: Tensor) -> Tensor:
    return torch.cat([frames for frames, _ in front.stream(audio)], dim=1)


def saved(path: Path, front: FrontEnd, width: int = 8) -> Path:
    """A checkpoint on ``front`` with seeded weights."""
    torch.manual_seed(0)
    encoder = PrivateSharedEncoder(front.dim, width=width, depth=1)
    size = {"dim": front.dim, "width": width, "depth": 1}
    card = {"frontend": frontend_record(front), "encoder": size, "views": VIEWS, "recipe": {"name": "seeded"}}
    checkpoint.save(path, {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}, card)
    return path


# Frames


@REFERENCES
@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.34])
def test_frames_and_times_are_the_modules_own(module: ModuleType, seconds: float) -> None:
    front = load_frontend(f"hear:{module.__name__}")
    assert (front.name, front.sample_rate, front.hop) == (
        f"hear:{module.__name__}",
        module.SAMPLE_RATE,
        module.HOP_LENGTH,
    )
    audio = sound(front.sample_rate, 3, seconds)
    frames, times = module.get_timestamp_embeddings(audio, module.load_model())
    assert front.dim == frames.shape[2]
    # One clip after the other and all at once: products of other shapes may round differently.
    torch.testing.assert_close(frames_of(front, audio), frames, atol=1e-4, rtol=1e-4)
    ((_, streamed_times),) = front.stream(audio)
    assert torch.equal(streamed_times, times[0])
    found = hear_multiview.get_timestamp_embeddings(audio, Embedder(front, None, "frontend"))
    torch.testing.assert_close(found, (frames, times), atol=1e-4, rtol=1e-4)


def test_a_module_with_other_times_a_hop_between_samples_and_odd_dimensions(theirs: ModuleType) -> None:
    front = load_frontend("hear:theirs")
    assert (front.sample_rate, front.hop, front.dim) == (22_050, 220.5, 6)
    audio = sound(22_050, 2, 1.0)
    expected, times = theirs.get_timestamp_embeddings(audio, theirs.load_model().eval())
    model = Embedder(front, None, "frontend")
    frames, found_times = hear_multiview.get_timestamp_embeddings(audio, model)
    assert frames.shape == (2, 101, 6)
    torch.testing.assert_close(frames[..., :5], expected)
    assert not frames[..., 5].any()
    assert torch.equal(found_times, times)
    assert found_times[0, -1] == 1000
    torch.testing.assert_close(hear_multiview.get_scene_embeddings(audio, model), frames.mean(1))
    # Its own level: nothing is normalised for it.
    torch.testing.assert_close(hear_multiview.get_scene_embeddings(3 * audio, model), 3 * frames.mean(1))


def test_a_clip_is_run_once(theirs: ModuleType) -> None:
    model = Embedder(load_frontend("hear:theirs"), None, "frontend")
    for function in (hear_multiview.get_scene_embeddings, hear_multiview.get_timestamp_embeddings):
        for samples in (5_000, 6_000, 5_000):
            theirs.calls.clear()
            function(torch.rand(2, samples), model)
            assert theirs.calls == [(1, samples)] * 2


def test_frames_beyond_the_end_are_the_modules_own_business(
    theirs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = theirs.get_timestamp_embeddings
    monkeypatch.setattr(theirs, "get_timestamp_embeddings", lambda *given: (own(*given)[0], own(*given)[1] + 9.5))
    model = Embedder(load_frontend("hear:theirs"), None, "frontend")
    frames, times = hear_multiview.get_timestamp_embeddings(sound(22_050, 1, 1.0), model)
    assert frames.shape[1] == times.shape[1] == 101
    assert times[0, -1] == 1009.5


def test_it_is_frozen_moves_and_can_be_copied(theirs: ModuleType) -> None:
    front = load_frontend("hear:theirs")
    assert isinstance(front, torch.nn.Module)
    assert not any(module.training for module in front.modules())
    assert not any(parameter.requires_grad for parameter in front.parameters())
    with torch.enable_grad():
        assert not frames_of(front, sound(22_050, 1, 0.2)).requires_grad
    model = Embedder(front, None, "frontend")
    twin = copy.deepcopy(model).to("meta")
    assert {tensor.device.type for tensor in twin.state_dict().values()} == {"meta"}
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}


def test_the_frame_cache_serves_it(theirs: ModuleType, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "frames")
    audio = sound(22_050, 3, 0.7)
    model, again = (Embedder(load_frontend("hear:theirs"), None, "frontend", cache) for _ in range(2))
    first = hear_multiview.get_timestamp_embeddings(audio, model)
    theirs.calls.clear()
    second = hear_multiview.get_timestamp_embeddings(audio, again)
    assert not theirs.calls
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert len(list((tmp_path / "frames").iterdir())) == 3


# Which weights


def test_the_digest_is_of_name_tensors_and_file(
    theirs: ModuleType, write: Callable[..., ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for value, path in enumerate(files):
        torch.save({"scale": torch.full((5,), float(value))}, path)
    write("copied", THEIRS)
    fronts = [load_frontend("hear:theirs"), *(load_frontend("hear:theirs", path) for path in files)]
    fronts.append(load_frontend("hear:copied"))
    assert len({front.digest for front in fronts}) == 4
    assert load_frontend("hear:theirs", str(files[1])).digest == fronts[2].digest
    assert not frames_of(fronts[1], sound(22_050, 1, 0.2)).any()
    # The same tensors from a file that differs are another front end; so is one bit in a tensor.
    model = theirs.load_model()
    torch.save(model.state_dict(), files[0])
    assert load_frontend("hear:theirs", files[0]).digest != fronts[0].digest
    monkeypatch.setattr(theirs, "load_model", lambda: model)
    assert load_frontend("hear:theirs").digest == fronts[0].digest
    model.scale.data[3] = np.nextafter(np.float32(4), np.float32(5)).item()
    assert load_frontend("hear:theirs").digest != fronts[0].digest


def test_a_checkpoint_refuses_other_weights_and_other_modules(theirs: ModuleType, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(theirs.load_model().state_dict(), weights)
    path = saved(tmp_path / "c.safetensors", load_frontend("hear:theirs", weights))
    for frontend in (None, "hear:theirs"):
        model = hear_multiview.load_model(path, frontend=frontend, frontend_weights=weights)
        assert model.scene_embedding_size == 6
    with pytest.raises(ValueError, match=r"c\.safetensors .*hear:theirs.* frontend_weights"):
        hear_multiview.load_model(path)
    torch.save({"scale": torch.zeros(5)}, weights)
    with pytest.raises(ValueError, match=r"c\.safetensors .*hear:theirs.* sha256"):
        hear_multiview.load_model(path, frontend_weights=weights)
    with pytest.raises(ValueError, match=r"'hear:other' .*c\.safetensors.* 'hear:theirs'"):
        hear_multiview.load_model(path, frontend="hear:other")
    sys.modules.pop("theirs")
    (tmp_path / "theirs.py").unlink()
    with pytest.raises(ValueError, match="module theirs cannot be imported"):
        hear_multiview.load_model(path, frontend_weights=weights)


# What cannot be a front end


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hear:", "'hear:' .*module"),
        ("hear:.relative", r"hear:\.relative"),
        ("hear:a b", "hear:a b"),
        (
            "hear:no_such_module",
            r"no_such_module cannot be imported \(No module named",
        ),
        ("hear:json", r"json .*load_model and get_timestamp_embeddings"),
        ("hera:json", "hera:json.* dac_44khz.*log_mel.*hear:<module>"),
    ],
)
def test_names_that_are_no_hear_module(name: str, message: str) -> None:
    for load in (load_frontend, lambda name: hear_multiview.load_model(view="frontend", frontend=name)):
        with pytest.raises(ValueError, match=message):
            load(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("raise RuntimeError('broken')", r"odd .*\(broken\)"),
        (
            "def load_model(path=''): raise OSError('no file\\nat all')",
            r"hear:odd .*\(no file\)",
        ),
        ("def load_model(path=''): return 3", r"load_model .* int.* torch\.nn\.Module"),
        ("def load_model(path=''): return torch.nn.Identity()", "hear:odd.* sample_rate"),
        ("HOP_MS = 5000", r"1 timestamps .* 2 s .*regular"),
        (
            "@then\ndef get_timestamp_embeddings(z, t): return z, t ** 1.01",
            r"201 timestamps .* 10\.\d+ to 10\.\d+ ms",
        ),
        (
            "@then\ndef get_timestamp_embeddings(z, t): return z, t[0]",
            r"\(1, 201, 5\) .* \(201,\) ",
        ),
        (
            "@then\ndef get_timestamp_embeddings(z, t): return z[:, :0], t[:, :0]",
            "no frame.* 2 s",
        ),
        (
            "@then\ndef get_timestamp_embeddings(z, t): return z, t / 1000",
            r"from 0 to 2 .*seconds.* for 2 s .*milliseconds",
        ),
        (
            "@then\ndef get_timestamp_embeddings(z, t): return z, t * 22.05",
            "samples.* milliseconds",
        ),
        ("@then\ndef get_timestamp_embeddings(z, t): return z, t * 2", r"from 0 to 4000 for 2 s .*milliseconds"),
        ("@then\ndef get_timestamp_embeddings(z, t): return z, t + 11", r"from 11 to 2011 for 2 s .*milliseconds"),
        ("@then\ndef get_timestamp_embeddings(z, t): return z[:, 2:], t[:, 2:]", r"from 20 to 2000"),
        ("@then\ndef get_timestamp_embeddings(z, t): return z[:, :-2], t[:, :-2]", r"from 0 to 1980"),
        ("@then\ndef get_timestamp_embeddings(z, t): return z, t.flip(1)", "-10 to -10 ms"),
        ("@then\ndef get_timestamp_embeddings(z, t): return z, t * float('nan')", "NaN or infinite .* 2 s"),
        ("@then\ndef get_timestamp_embeddings(z, t): return z / 0, t", "NaN or infinite .* 2 s"),
        (
            "@then\ndef get_timestamp_embeddings(z, t): return torch.nn.functional.dropout(z), t",
            "hear:odd .*repeated",
        ),
        (
            "def get_timestamp_embeddings(audio, model): return model(audio)",
            r"2 s of audio \(Module \[Model\] is missing the required .forward. function\)",
        ),
    ],
)
def test_modules_that_cannot_be_a_front_end(
    change: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    then = "def then(change, own=get_timestamp_embeddings): return lambda *given: change(*own(*given))"
    (tmp_path / "odd.py").write_text(f"{THEIRS}\n{then}\n{change}\n")
    with pytest.raises(ValueError, match=message) as raised:
        load_frontend("hear:odd")
    assert "\n" not in str(raised.value)
    sys.modules.pop("odd", None)


@pytest.mark.parametrize("times", [lambda t: t + 5, lambda t: t - 5, lambda t: t + 9.99])
def test_frames_may_begin_and_end_up_to_one_frame_from_the_audio(
    times: Callable[[Tensor], Tensor], theirs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = theirs.get_timestamp_embeddings
    monkeypatch.setattr(theirs, "get_timestamp_embeddings", lambda *given: (own(*given)[0], times(own(*given)[1])))
    assert load_frontend("hear:theirs").hop == 220.5


def test_what_a_module_raises_or_makes_of_a_clip_is_said_with_its_length(
    theirs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = theirs.get_timestamp_embeddings

    def no_more_than_three_seconds(audio: Tensor, model: torch.nn.Module) -> tuple[Tensor, Tensor]:
        if audio.shape[1] > 3 * 22_050:
            raise RuntimeError("the size of tensor a must match\nthat of b")
        frames, times = own(audio, model)
        return frames / frames.mean(), times  # of silence, NaN

    monkeypatch.setattr(theirs, "get_timestamp_embeddings", no_more_than_three_seconds)
    model = Embedder(load_frontend("hear:theirs"), None, "frontend")
    for audio, words in ((torch.rand(1, 4 * 22_050), "the size of tensor a"), (torch.zeros(1, 22_050), "NaN")):
        with pytest.raises(ValueError, match=rf"hear:theirs .* {len(audio[0]) // 22_050} s of audio") as raised:
            hear_multiview.get_scene_embeddings(audio, model)
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)


def test_precision_and_weights_that_do_not_fit() -> None:
    name = f"hear:{mel_statistics.__name__}"
    with pytest.raises(ValueError, match=r"mel_statistics .*bf16.*fp32"):
        load_frontend(name, precision="bf16")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt .*hear:.*mel_statistics"):
        load_frontend(name, "nowhere.pt")
    with pytest.raises(ValueError, match=r"mel_statistics .*\.py \(mel_statistics has no weights"):
        load_frontend(name, __file__)


def test_audio_too_short_for_it(theirs: ModuleType) -> None:
    model = Embedder(load_frontend("hear:theirs"), None, "frontend")
    with pytest.raises(ValueError, match=r"110 samples .* 111 samples .*22050 Hz"):
        hear_multiview.get_scene_embeddings(torch.rand(1, 110), model)
    assert hear_multiview.get_scene_embeddings(torch.rand(1, 111), model).shape == (1, 6)
