"""The X-ARES encoder: alone against the HEAR API, and in X-ARES's own checker and tasks where it is installed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.adapters.xares import MultiviewEncoder
from hear_multiview.api import BUNDLED
from hear_multiview.embedder import Embedder
from hear_multiview.encoders import make_encoder
from hear_multiview.frontends import load_frontend

Noise = Callable[..., Tensor]


#: Options of a codec, and the sampling rate, the size and the hop (ms) of its frames.
CODEC = {"view": "frontend", "frontend": "demo"}, (44_100, 256, 512 / 44.1)


@pytest.fixture(scope="module", params=[{}, CODEC[0]], ids=["bundled", "codec"])
def encoder(request: pytest.FixtureRequest) -> MultiviewEncoder:
    return MultiviewEncoder(**request.param)


@pytest.fixture
def _xares() -> Iterator[None]:
    """X-ARES is installed; making a task of it sets the number of threads and two seeds of this process."""
    pytest.importorskip("xares")
    threads, seeds, state = torch.get_num_threads(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(seeds)
    np.random.set_state(state)  # noqa: NPY002


def test_it_describes_its_frames(encoder: MultiviewEncoder, noise: Noise) -> None:
    audio, of_codec = noise(2, 3), encoder.model.view == "frontend"
    frames = encoder(audio)
    model = hear_multiview.load_model(**CODEC[0] if of_codec else {})  # type: ignore[arg-type]
    expected, times = hear_multiview.get_timestamp_embeddings(audio, model)
    torch.testing.assert_close(frames, expected, rtol=0, atol=0)
    saved = checkpoint.load(BUNDLED)
    front, parts = saved.card["frontend"], saved.encoder().parts
    hop = 1000 * front["hop"] * saved.encoder().stride / front["sample_rate"]
    rate, size, hop = CODEC[1] if of_codec else (front["sample_rate"], sum(parts.values()), hop)
    assert frames.shape[2] == encoder.output_dim == size
    assert encoder.sampling_rate == rate
    assert encoder.hop_size_in_ms == pytest.approx(hop)
    np.testing.assert_allclose(np.diff(times[0].numpy().astype(np.float64)), encoder.hop_size_in_ms, atol=1e-3)


def test_an_encoder_with_a_stride_has_longer_hops(monkeypatch: pytest.MonkeyPatch, noise: Noise) -> None:
    strided = make_encoder("conv2d", dim=64, channels=[4, 8], strides=[2, 2])
    model = Embedder(load_frontend("log_mel"), strided, "joint")
    monkeypatch.setattr("hear_multiview.adapters.xares.load_model", lambda: model)
    encoder = MultiviewEncoder()
    times = model.frames(noise(1, 1))[1]
    assert encoder.hop_size_in_ms == 128
    np.testing.assert_allclose(np.diff(times[:-1].numpy()), encoder.hop_size_in_ms)


def test_options_are_those_of_load_model(noise: Noise) -> None:
    audio = noise(1, 0.5)
    private, joint = MultiviewEncoder(view="private"), MultiviewEncoder(view="joint")
    assert next(iter(checkpoint.load(BUNDLED).encoder().parts.items())) == ("private", private.output_dim)
    torch.testing.assert_close(private(audio), joint(audio)[..., : private.output_dim])
    with pytest.raises(ValueError, match="view 'both'"):
        MultiviewEncoder(view="both")


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (255, 1), (256, 1), (768, 2)])
def test_short_clips_have_a_frame(encoder: MultiviewEncoder, noise: Noise, samples: int, frames: int) -> None:
    clip = noise(1, 1)[:, :samples]
    padded = torch.nn.functional.pad(clip, (0, max(0, 256 - samples)))
    expected = hear_multiview.get_timestamp_embeddings(padded, encoder.model)[0]
    torch.testing.assert_close(encoder(clip[0]), expected, rtol=0, atol=0)
    assert expected.shape == (1, -(-frames // encoder.model.stride), encoder.output_dim)


def test_silence_is_embedded_and_nothing_is_refused(encoder: MultiviewEncoder) -> None:
    assert torch.isfinite(encoder(torch.zeros(2, 4410))).all()
    with pytest.raises(ValueError, match="empty"):
        encoder(torch.zeros(2, 0))
    with pytest.raises(ValueError, match=r"\(88200, 2\) .*\[sample, channel\]"):
        encoder(torch.zeros(88_200, 2))
    for odd in (torch.zeros(1, 2, 4410), torch.zeros(2, 4410, dtype=torch.int16)):
        with pytest.raises(ValueError, match=r"\[clip, sample\]|floating-point"):
            encoder(odd)
    with pytest.raises(ValueError, match="clip 1"):
        encoder(torch.tensor([[0.1] * 9, [torch.nan] * 9]))


@pytest.mark.usefixtures("_xares")
def test_x_ares_finds_it_and_finds_it_right() -> None:
    from xares.audio_encoder_checker import check_audio_encoder
    from xares.utils import attr_from_py_path

    found = attr_from_py_path("hear_multiview/adapters/xares.py", endswith="Encoder")
    assert found.__name__ == "MultiviewEncoder"
    assert check_audio_encoder(found())
    wrong = found()
    wrong.output_dim += 1
    assert not check_audio_encoder(wrong)


@pytest.mark.usefixtures("_xares")
def test_labels_of_frames_lie_where_the_frames_lie(encoder: MultiviewEncoder) -> None:
    """An event from 4 to 9 s of a clip of DESED: X-ARES's label of each frame against the frame's own time."""
    from tasks.desed_task import desed_config

    label = desed_config(encoder).label_processor([{"onset": 4.0, "offset": 9.0, "label": "Dog"}])
    times = encoder.model.frames(torch.zeros(1, 10 * encoder.sampling_rate))[1]
    assert label.shape[1] - 1 <= len(times) <= label.shape[1]
    within = (times > 4000) & (times < 9000)
    assert (label[8, : len(times)].bool() != within).sum() <= 2  # X-ARES rounds up: at most one frame at each end


@pytest.mark.usefixtures("_xares")
def test_a_task_of_x_ares_from_audio_to_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: MultiviewEncoder
) -> None:
    """Tones against noise, in stereo, of unequal lengths. Audio is read with soundfile: torchaudio needs FFmpeg."""
    soundfile = pytest.importorskip("soundfile")
    from xares.task import TaskConfig, XaresTask

    def load(path: str) -> tuple[Tensor, int]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(samples.T.copy()), rate

    monkeypatch.setattr("torchaudio.load", load)
    generator = np.random.default_rng(0)
    folder = tmp_path / "tones"
    folder.mkdir()
    (folder / ".audio_tar_ready").touch()
    for split, clips in {"train": 24, "valid": 8, "test": 8}.items():
        _write_shard(folder / f"{split}_0.tar", clips, generator, soundfile)
    config = TaskConfig(
        name="tones",
        env_root=tmp_path,
        private=True,
        encoder=encoder,
        label_processor=lambda sample: sample["label"],
        output_dim=2,
        num_encoder_workers=0,
        batch_size_encode=3,
        learning_rate=1e-2,
        epochs=20,
    )
    task = XaresTask(config)
    mlp, knn = task.run()
    assert list((folder / "embeddings" / "MultiviewEncoder").glob("wds-encoded-test*.tar"))
    assert mlp[0] > 0.8  # guessing gives a half
    assert knn[0] > 0.8


def _write_shard(path: Path, clips: int, generator: np.random.Generator, soundfile: Any) -> None:
    """Alternately a tone and noise, of 0.2 to 0.5 s, at 16 kHz, in two channels."""
    with tarfile.open(path, "w") as tar:
        for i in range(clips):
            samples = int(generator.integers(3200, 8000))
            tone = np.sin(np.arange(samples) * generator.uniform(0.2, 0.6))
            sound = 0.1 * (generator.standard_normal(samples) if i % 2 else tone)
            wav = io.BytesIO()
            soundfile.write(wav, np.stack([sound, sound], axis=1), 16_000, format="WAV")
            for name, data in {"wav": wav.getvalue(), "json": json.dumps({"label": i % 2}).encode()}.items():
                entry = tarfile.TarInfo(f"{path.stem}_{i:03d}.{name}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
