"""A model that has embedded a clip: copied, sent to another process, given other weights, converted; and the modes of
torch around a call."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import hear_multiview
from hear_multiview.embedder import Embedder
from hear_multiview.frontends import load_frontend

Noise = Callable[..., Tensor]
NAMES = ["demo", "log_mel", "hear:hear_multiview.references.random_projection"]


@pytest.fixture(params=NAMES)
def used(request: pytest.FixtureRequest, noise: Noise) -> Embedder:
    """A model that has seen a clip already."""
    model = hear_multiview.load_model(view="frontend", frontend=request.param)
    hear_multiview.get_scene_embeddings(noise(1, 0.5), model)
    return model


#: The bundled model; a codec, which computes in chunks of its own and keeps packed weights.
MODELS = {"bundled": {}, "codec": {"view": "frontend", "frontend": "demo"}}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Embedder:
    return hear_multiview.load_model(**MODELS[request.param])  # type: ignore[arg-type]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def saved_whole(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), saved_whole],
    ids=["copy", "pickle", "save"],
)
def test_a_used_model_can_be_copied(used: Embedder, copied: Callable[[Embedder], Embedder], noise: Noise) -> None:
    audio = noise(2, 0.7)
    twin = copied(used)
    assert twin is not used
    for function in (hear_multiview.get_scene_embeddings, hear_multiview.get_timestamp_embeddings):
        expected, found = function(audio, used), function(audio, twin)
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_used_model_can_be_sent_to_a_spawned_process(model: Embedder, noise: Noise) -> None:
    audio = noise(1, 0.5)
    expected = hear_multiview.get_scene_embeddings(audio, model)
    spawn, threads = multiprocessing.get_context("spawn"), torch.get_num_threads()
    with ProcessPoolExecutor(1, spawn, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        found = pool.submit(hear_multiview.get_scene_embeddings, audio, model).result()
        assert torch.equal(found, expected)


def test_calls_at_the_same_time_give_what_each_gives_alone(model: Embedder, threads: int) -> None:
    """Each from a thread that has never computed, as in a server: which chunks a clip is cut into must not change."""
    draw = torch.Generator().manual_seed(0)
    clips = [0.1 * torch.randn(1, 22_050 + 7_000 * k, generator=draw) for k in range(8)]
    alone = [hear_multiview.get_scene_embeddings(clip, model) for clip in clips]
    found: dict[int, torch.Tensor] = {}

    def call(k: int) -> None:
        found[k] = hear_multiview.get_scene_embeddings(clips[k], model)

    for _ in range(3):
        callers = [threading.Thread(target=call, args=(k,)) for k in range(len(clips))]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert [k for k, expected in enumerate(alone) if not torch.equal(found.pop(k), expected)] == []


@pytest.mark.parametrize("inference", [False, True], ids=["normal", "inference_mode"])
def test_other_weights_are_used_from_then_on(inference: bool, noise: Noise) -> None:
    """Loading writes into the same tensors, of which packed ones may be kept."""
    audio = noise(1, 0.5)
    with torch.inference_mode(inference):
        model, other = (Embedder(load_frontend("demo"), None, "frontend") for _ in range(2))
        before = hear_multiview.get_scene_embeddings(audio, model)
        state = {name: tensor.roll(1, 0) for name, tensor in model.state_dict().items()}
        for each in (model, other):  # one that has seen a clip, and one that has not
            each.load_state_dict(state)
        found, expected = (hear_multiview.get_scene_embeddings(audio, each) for each in (model, other))
    assert torch.equal(found, expected)
    assert not torch.allclose(found, before)


def test_the_state_is_what_it_was_before_the_first_clip(used: Embedder) -> None:
    fresh = hear_multiview.load_model(view="frontend", frontend=used.frontend.name)
    ours, theirs = used.state_dict(), fresh.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# Conversion


@pytest.mark.parametrize("part", ["model", "front end", "a module around it"])
@pytest.mark.parametrize(
    "convert",
    [
        nn.Module.half,
        nn.Module.bfloat16,
        nn.Module.double,
        lambda m: m.to(torch.float16),
        lambda m: m.to("cpu", torch.double),
    ],
    ids=["half", "bfloat16", "double", "to_float16", "to_cpu_double"],
)
def test_a_conversion_is_refused(
    convert: Callable[[nn.Module], object], part: str, model: Embedder, noise: Noise
) -> None:
    expected = hear_multiview.get_scene_embeddings(noise(1, 0.3), model)
    converted = {"model": model, "front end": model.frontend, "a module around it": nn.ModuleList([model])}[part]
    with pytest.raises(ValueError, match="precision='bf16'"):
        convert(converted)  # type: ignore[arg-type]
    assert torch.equal(hear_multiview.get_scene_embeddings(noise(1, 0.3), model), expected)


def test_what_changes_nothing_or_moves_is_not_refused(model: Embedder) -> None:
    assert model.float() is model
    assert model.to("cpu", torch.float32) is model
    assert {tensor.device.type for tensor in model.to("meta").state_dict().values()} == {"meta"}


def test_a_model_in_bf16_is_not_made_fp32_by_the_way() -> None:
    with pytest.raises(ValueError, match=r"from torch\.bfloat16 to torch\.float32"):
        hear_multiview.load_model(view="frontend", frontend="demo", precision="bf16").float()


# Modes of torch around a call


@pytest.mark.parametrize(
    "mode",
    [torch.enable_grad, torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["enable_grad", "no_grad", "inference_mode", "autocast"],
)
def test_embeddings_are_the_same_in_every_mode(mode: Callable, used: Embedder, noise: Noise, threads: int) -> None:
    audio = noise(1, 1.5)
    expected = hear_multiview.get_timestamp_embeddings(audio, used)[0]
    with mode():
        found = hear_multiview.get_timestamp_embeddings(audio.requires_grad_(True), used)[0]
    assert not found.requires_grad
    assert torch.equal(found, expected)


def test_a_front_end_alone_takes_audio_with_gradients(threads: int, noise: Noise) -> None:
    front, audio = load_frontend("demo"), noise(1, 1.0)
    expected = torch.cat([frames for frames, _ in front.stream(audio)], dim=1)
    assert torch.equal(torch.cat([frames for frames, _ in front.stream(audio.requires_grad_(True))], dim=1), expected)
