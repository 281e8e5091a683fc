"""The HEAR contract for every view, the checks of the hear-baseline project restated at 44.1 kHz, and bad input."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import hear_multiview
from hear_multiview import api, checkpoint
from hear_multiview.embedder import Embedder
from hear_multiview.encoders import make_encoder
from hear_multiview.encoders.base import views_of
from hear_multiview.encoders.private_shared import VIEWS
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.frame_times import frame_centres, frames_within
from tests.hear_multiview.codec_checkpoint import saved_checkpoint
from training.codec.bundle import seeded_codec

Noise = Callable[..., Tensor]
#: Of embeddings that are the same but for the order of their sums.
ROUNDING: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module", params=VIEWS)
def model(request: pytest.FixtureRequest, saved: Path) -> Embedder:
    return hear_multiview.load_model(saved, view=request.param)


# The contract


def test_signatures() -> None:
    assert list(inspect.signature(hear_multiview.load_model).parameters) == [
        "path",
        "view",
        "frontend",
        "frontend_weights",
        "precision",
        "pool",
    ]
    assert list(inspect.signature(hear_multiview.get_scene_embeddings).parameters) == ["audio", "model"]
    assert list(inspect.signature(hear_multiview.get_timestamp_embeddings).parameters) == ["audio", "model"]


def test_model_attributes(model: Embedder) -> None:
    assert isinstance(model, torch.nn.Module)
    assert not any(module.training for module in model.modules())
    for name in ("sample_rate", "scene_embedding_size", "timestamp_embedding_size"):
        assert type(getattr(model, name)) is int
    assert model.sample_rate == 44_100
    assert model.scene_embedding_size == {"joint": 256, "frontend": 256, "private": 128, "shared": 128}[model.view]


@pytest.mark.parametrize("seconds", [0.1, 0.39, 0.5, 3.74])
def test_shapes_and_types(model: Embedder, noise: Noise, seconds: float) -> None:
    audio = noise(2, seconds)
    scene = hear_multiview.get_scene_embeddings(audio, model)
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)
    assert scene.dtype == frames.dtype == times.dtype == torch.float32
    assert scene.shape == (2, model.scene_embedding_size)
    assert frames.shape == (*times.shape, model.timestamp_embedding_size)
    assert torch.isfinite(scene).all()
    assert torch.isfinite(frames).all()
    torch.testing.assert_close(scene, frames.mean(1), **ROUNDING)


# The checks of hear-baseline


def test_replicable(model: Embedder, noise: Noise) -> None:
    audio = noise(2, 1.0)
    assert torch.equal(*(hear_multiview.get_scene_embeddings(audio, model) for _ in range(2)))
    assert torch.equal(*(hear_multiview.get_timestamp_embeddings(audio, model)[0] for _ in range(2)))


def test_batch_equals_singles_and_a_slice_of_the_batch_equals_that_of_the_result(model: Embedder, noise: Noise) -> None:
    audio = noise(4, 2.3)
    scene = hear_multiview.get_scene_embeddings(audio, model)
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)
    for rows in (slice(0, 1), slice(3, 4), slice(None, None, 2)):
        # Up to rounding: threads divide several clips in another way than one.
        torch.testing.assert_close(hear_multiview.get_scene_embeddings(audio[rows], model), scene[rows], **ROUNDING)
        some, some_times = hear_multiview.get_timestamp_embeddings(audio[rows], model)
        torch.testing.assert_close(some, frames[rows], **ROUNDING)
        assert torch.equal(some_times, times[rows])


def test_different_audio_has_different_embeddings(model: Embedder, noise: Noise) -> None:
    a, b = hear_multiview.get_scene_embeddings(noise(2, 1.0), model)
    assert not torch.allclose(a, b)


@settings(max_examples=200, deadline=None)
@given(st.integers(22_050, 12 * 44_100))
def test_timestamps_are_regular_centred_and_inside_the_audio(samples: int) -> None:
    """As the validator checks them: spacing within 1e-3 ms of its mean, in float32, at any length from 0.5 to 12 s."""
    hop, rate = 512, 44_100
    times = frame_centres(0, -(-samples // hop), hop, rate)
    times = times[: frames_within(times, samples, hop, rate)]
    spacing = torch.diff(times)
    assert torch.all((spacing - spacing.mean()).abs() < 1e-3)
    hop_ms = 1000 * hop / rate
    assert times[0] == pytest.approx(hop_ms / 2)
    end = 1000 * samples / rate
    assert end - hop_ms < times[-1] <= end + 1e-3


_MODEL: list[Embedder] = []


def _frontend_model() -> Embedder:
    if not _MODEL:
        _MODEL.append(hear_multiview.load_model(view="frontend", frontend="demo"))
    return _MODEL[0]


# Invariances


def test_the_level_of_a_clip_does_not_matter(model: Embedder, noise: Noise) -> None:
    audio = noise(1, 1.0)
    a = hear_multiview.get_scene_embeddings(audio, model)
    b = hear_multiview.get_scene_embeddings(audio * 4, model)
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_half_and_double_precision_audio_is_taken(model: Embedder, noise: Noise) -> None:
    audio = noise(1, 0.5)
    expected = hear_multiview.get_scene_embeddings(audio, model)
    assert torch.equal(hear_multiview.get_scene_embeddings(audio.double(), model), expected)


def test_silence_is_finite(model: Embedder) -> None:
    assert torch.isfinite(hear_multiview.get_scene_embeddings(torch.zeros(1, 44_100), model)).all()


def test_the_audio_is_not_changed(model: Embedder, noise: Noise) -> None:
    audio = noise(1, 0.5)
    before = audio.clone()
    hear_multiview.get_scene_embeddings(audio, model)
    assert torch.equal(audio, before)


def test_embeddings_can_be_trained_on(model: Embedder, noise: Noise) -> None:
    probe = torch.nn.Linear(model.scene_embedding_size, 1)
    probe(hear_multiview.get_scene_embeddings(noise(1, 0.5), model)).sum().backward()
    assert probe.weight.grad is not None


# load_model


@pytest.mark.parametrize("path", ["", None])
def test_the_bundled_checkpoint_is_the_default(path: str | None, noise: Noise) -> None:
    model = hear_multiview.load_model(path)
    assert model.view == "joint"
    assert hear_multiview.get_scene_embeddings(noise(1, 0.5), model).shape == (1, model.scene_embedding_size)


def test_views_are_parts_of_the_joint_one(saved: Path, noise: Noise) -> None:
    scene = {
        view: hear_multiview.get_scene_embeddings(noise(2, 0.7), hear_multiview.load_model(saved, view=view))
        for view in VIEWS
    }
    torch.testing.assert_close(scene["joint"], torch.cat([scene["private"], scene["shared"]], dim=1), **ROUNDING)


def test_a_frontend_view_is_the_same_with_and_without_a_checkpoint(saved: Path, noise: Noise) -> None:
    with_checkpoint = hear_multiview.load_model(saved, view="frontend")
    without = hear_multiview.load_model(view="frontend", frontend="demo")
    a, b = (hear_multiview.get_scene_embeddings(noise(1, 0.5), m) for m in (with_checkpoint, without))
    assert torch.equal(a, b)


def test_the_paper_s_codec_serves_as_a_frontend(official_codec_file: Path, noise: Noise) -> None:
    model = hear_multiview.load_model(view="frontend", frontend="dac_44khz", frontend_weights=official_codec_file)
    assert hear_multiview.get_scene_embeddings(noise(1, 0.3), model).shape == (1, 1024)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "sideways"}, "view 'sideways'.* joint, private, shared, frontend"),
        ({"frontend": "mp3"}, "frontend 'mp3'.* dac_44khz, demo"),
        ({"precision": "int4"}, "precision 'int4'.* fp32, bf16"),
        ({"frontend": "dac_44khz"}, "'dac_44khz' .*bundled checkpoint"),
    ],
)
def test_bad_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hear_multiview.load_model(**options)  # type: ignore[arg-type]


def test_missing_checkpoint() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        hear_multiview.load_model("nowhere.safetensors")


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a seeded convolutional encoder on log-mel frames."""
    front = load_frontend("log_mel")
    settings: dict[str, Any] = {"kind": "conv2d", "dim": front.dim, "channels": [4, 8], "strides": [2, 2], "latent": 6}
    torch.manual_seed(0)
    encoder = make_encoder(**settings)
    card = {"frontend": {"name": "log_mel", "sha256": front.digest}, "encoder": settings, "views": views_of(encoder)}
    path = tmp_path_factory.mktemp("convolutional") / "c.safetensors"
    checkpoint.save(path, {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}, card)
    return path


@pytest.mark.parametrize("view", ["joint", "embedding"])
def test_a_convolutional_checkpoint(convolutional: Path, noise: Noise, view: str) -> None:
    model = hear_multiview.load_model(convolutional, view=view)
    audio = noise(2, 1.0)  # at 16 kHz 2.76 s: 86 frames of 32 ms
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)
    assert frames.shape == (2, 22, 6)
    assert times[0, :2].tolist() == [64.0, 192.0]
    assert times[0].diff().unique().tolist() == [128.0]  # the last one too, though it is of two frames
    assert torch.equal(hear_multiview.get_scene_embeddings(audio, model), frames.amax(1))


def test_which_views_there_are_is_for_the_checkpoint_to_say(convolutional: Path, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"c\.safetensors .*'private'.* joint, embedding, frontend"):
        hear_multiview.load_model(convolutional, view="private")
    stored, path = checkpoint.load(saved), tmp_path / "undivided.safetensors"
    checkpoint.save(path, stored.tensors, {**stored.card, "views": ["joint", "frontend"]})
    with pytest.raises(ValueError, match=r"undivided\.safetensors .*'shared'.* joint, frontend"):
        hear_multiview.load_model(path, view="shared")
    checkpoint.save(path, stored.tensors, {**stored.card, "views": ["joint", "embedding"]})
    with pytest.raises(ValueError, match=r"undivided\.safetensors .*embedding"):
        hear_multiview.load_model(path)


def test_a_checkpoint_insists_on_its_codec(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"c\.safetensors .*demo.* 000000000000…"):
        hear_multiview.load_model(saved_checkpoint(tmp_path, sha256="0" * 64))


def test_a_checkpoint_refuses_other_codec_weights(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    seeded_codec(9).save(str(other), package=False)
    with pytest.raises(ValueError, match="frontend_weights"):
        hear_multiview.load_model(saved, frontend_weights=other)


# Bad audio


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (torch.zeros(1, 4_410, dtype=torch.int16), r"torch\.int16"),
        (torch.zeros(1, 1, 4_410), r"\(1, 1, 4410\).*\[clip, sample\]"),
        (torch.zeros(4_410), r"\[clip, sample\]"),
        (torch.zeros(1, 0), "audio is empty"),
        (torch.zeros(0, 4_410), "audio is empty"),
        (torch.zeros(1, 255), "255 samples .* 256 samples"),
        (
            torch.tensor([[0.0] * 999, [0.0] * 998 + [float("nan")]]),
            "clip 1 .*NaN or infinite",
        ),
        (torch.zeros(88_200, 2), r"\(88200, 2\) .*\[sample, channel\]"),
        (torch.full((1, 999), float("inf")), "clip 0 .*NaN or infinite"),
        ([0.0] * 4_410, "list"),
    ],
)
def test_bad_audio(audio: Tensor, message: str) -> None:
    for function in (hear_multiview.get_scene_embeddings, hear_multiview.get_timestamp_embeddings):
        with pytest.raises(ValueError, match=message):
            function(audio, _frontend_model())


def test_the_shortest_audio() -> None:
    frames, times = hear_multiview.get_timestamp_embeddings(torch.rand(1, 256) - 0.5, _frontend_model())
    assert frames.shape == (1, 1, 256)
    assert times.shape == (1, 1)


# Size and start-up


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident size from /proc")
@pytest.mark.parametrize("options", ["", "view='frontend', frontend='demo'"], ids=["bundled", "codec"])
def test_twenty_minutes_stay_under_two_gigabytes(options: str, python: Callable[..., object]) -> None:
    code = (
        f"import torch, hear_multiview as h; m = h.load_model({options}); "
        "samples = m.sample_rate * 1200; frames = (samples + 256) // 512; "
        "z, t = h.get_timestamp_embeddings(torch.randn(1, samples) * 0.1, m); "
        "assert z.shape[1] == t.shape[1] == -(-frames // m.stride); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = python("-W", "ignore", "-c", code, OMP_NUM_THREADS="4")  # each thread has a piece in memory
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert int(done.stdout) * 1024 < 2e9  # type: ignore[attr-defined]


def test_importing_loads_neither_the_codec_nor_the_other_packages(python: Callable[..., object]) -> None:
    code = (
        "import sys, hear_multiview; "
        "print([m for m in ('dac', 'audiotools', 'scipy', 'sonyc_tasks', 'training') if m in sys.modules])"
    )
    assert python("-c", code).stdout == "[]\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", ["", "view='frontend', frontend='demo'"], ids=["bundled", "codec"])
def test_embedding_loads_neither_the_codecs_package_nor_what_that_brings(
    options: str, python: Callable[..., object]
) -> None:
    code = (
        "import sys, torch, hear_multiview; "
        f"hear_multiview.get_scene_embeddings(torch.rand(1, 9_000), hear_multiview.load_model({options})); "
        "print([m for m in ('dac', 'audiotools', 'tensorboard', 'tensorflow') if m in sys.modules])"
    )
    assert python("-c", code).stdout == "[]\n"  # type: ignore[attr-defined]


def test_bundled_path_is_inside_the_package() -> None:
    assert api.BUNDLED.is_file()
    assert api.BUNDLED.is_relative_to(Path(hear_multiview.__file__).parent)
