"""A short seeded run, its losses, what it leaves behind, and its promises about interruption and bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from dac.model import DAC
from dac.nn.layers import snake

from hear_multiview.audio import loudness
from hear_multiview.frontends.dac import weights as codec_weights
from hear_multiview.frontends.dac.frontend import CodecFrontEnd
from sonyc_tasks.synthesis import synthesize
from training.codec import train as module
from training.codec.bundle import seeded_codec
from training.codec.data import describe_audio, draw_crops, load_sounds, random_microphone_eq
from training.codec.model import CodecWithReadout, FastSnake, mel_distance, unit_gain, whiten
from training.codec.train import CodecTrainingConfig, train_codec
from training.engine.run_folder import RunFolder

TINY: dict[str, Any] = {
    "steps": 3,
    "batch": 2,
    "seconds_per_crop": 0.1,
    "head_start": 1,
    "codec": {"encoder_dim": 4, "decoder_dim": 32, "n_codebooks": 2, "codebook_size": 64},
}


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Runs of a few steps, at the full learning rate from the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WARM_UP", 1)
        patch.setattr(module, "VALIDATION_CROPS", 4)
        yield


@pytest.fixture(scope="module")
def soundscapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generated clips of half a second, of two sensors."""
    folder = tmp_path_factory.mktemp("codec") / "soundscapes"
    return synthesize(folder, sensors=2, clips_per_sensor=2, seconds=0.5, seed=5, workers=1, progress=False)


@pytest.fixture(scope="module")
def run(short: None, soundscapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished tiny run; beside its files is the last state, which a run deletes at its end."""
    folder = tmp_path_factory.mktemp("run")
    write = RunFolder.write_state

    def keeps(self: RunFolder, state: Mapping[str, Any]) -> None:
        write(self, state)
        shutil.copyfile(self.state_path, folder / "last.pt")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_state", keeps)
        return train(folder, soundscapes, TINY).parent


def train(out: Path, audio: Path | None, options: dict[str, Any]) -> Path:
    """`train_codec` with ``options`` of its config."""
    return train_codec(out, audio, CodecTrainingConfig(**options))


def history(folder: Path) -> list[dict[str, float]]:
    """What each epoch was judged by."""
    return [json.loads(line)["valid"] for line in (folder / "history.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "codec.pth", weights_only=True)["state_dict"]


def log_mel(x: np.ndarray, bands: int, window: int, hop: int) -> np.ndarray:
    """log10 of mel magnitudes, at least 1e-5, of ``x`` [crop, sample], reflected at its ends: [crop, frame, band]."""
    padded = np.pad(x, ((0, 0), (window // 2, window // 2)), "reflect")
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop]
    magnitudes = np.abs(np.fft.rfft(pieces * scipy.signal.get_window("hann", window)))
    return np.log10(np.maximum(magnitudes @ librosa.filters.mel(sr=44_100, n_fft=window, n_mels=bands).T, 1e-5))


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """descript-audio-codec's log-mel distance of two [crop, sample]: seven scales, windows of 2^k samples."""
    scales = [(5 * 2**k, 32 * 2**k, 8 * 2**k) for k in range(7)]
    return sum(np.abs(log_mel(x, *scale) - log_mel(y, *scale)).mean() for scale in scales)


def test_validation_is_that_of_the_saved_weights_in_float64(run: Path, soundscapes: Path) -> None:
    """By the plain codec in float64, and distances of numpy's: what training made of the weights is not pinned, as a
    few steps turn a processor's rounding into percent."""
    (record,) = history(run)
    stored = torch.load(run / "codec.pth", weights_only=True)
    plain = DAC(**stored["metadata"]["kwargs"])
    plain.load_state_dict(stored["state_dict"])
    plain.double().eval()
    held_out = load_sounds(soundscapes, 44_100, 9 * 512).held_out
    crops = draw_crops(held_out, 4, 9 * 512, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        latents = plain.encoder(crops)
        copies = [plain.decoder(z)[:, 0].numpy() for z in (latents, plain.quantizer(latents)[0])]
    sound, z = crops[:, 0].numpy(), latents.numpy()

    state = {k: v.double().numpy() for k, v in torch.load(run / "last.pt", weights_only=True)["model"].items()}
    # The frames of 512 samples, each in the middle of its window.
    spectra = log_mel(np.pad(sound, ((0, 0), (768, 768)), "reflect"), 80, 2048, 512)[:, 2:-2].transpose(0, 2, 1)
    error = state["readout.weight"][:, :, 0] @ z + state["readout.bias"][:, None] - spectra
    readout = np.abs(state["by_frame"] @ error).mean() + np.abs(error.mean(-1) @ state["by_mean"]).mean()
    # Of two codes that are as near, float32 and float64 may choose different ones: a few frames of 36.
    expected = {"mel_from_latents": (distance(copies[0], sound), 1e-3), "readout": (readout, 1e-3)}
    expected["mel_from_codes"] = (distance(copies[1], sound), 5e-2)
    assert record.keys() == expected.keys()
    for name, (value, tolerance) in expected.items():
        assert record[name] == pytest.approx(value, rel=tolerance), name


@pytest.mark.parametrize(("head_start", "encoder", "others"), [(1, 1.0, 0.0), (0, 0.1, 1.0)])
def test_a_first_step_is_as_long_as_the_learning_rate(
    soundscapes: Path, tmp_path: Path, head_start: int, encoder: float, others: float
) -> None:
    """AdamW's first step moves a weight w by rate · (sign of its gradient + w / 100), whatever the gradient's size."""
    train(tmp_path, soundscapes, {**TINY, "steps": 1, "head_start": head_start, "learning_rate": 1e-3})
    furthest = moves(tmp_path)
    assert furthest.pop("encoder") == pytest.approx(1e-3 * encoder, rel=0.05)
    assert furthest == {part: pytest.approx(1e-3 * others, rel=0.05) for part in ("decoder", "quantizer")}


def test_a_term_that_weighs_nothing_teaches_nothing(
    soundscapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in module.LOSS_WEIGHTS:
        monkeypatch.setitem(module.LOSS_WEIGHTS, name, float(name == "codebook"))
    train(tmp_path, soundscapes, {**TINY, "steps": 1, "head_start": 0, "learning_rate": 1e-3})
    furthest = moves(tmp_path)
    assert furthest["quantizer"] == pytest.approx(1e-3, rel=0.05)
    assert max(furthest["encoder"], furthest["decoder"]) < 1e-4  # the decay of the weights alone


def moves(folder: Path) -> dict[str, float]:
    """How far the weight that moved most is from its start, by part of the codec; without the encoder's first layer,
    which starts as the sound wants it."""
    start, found = unit_gain(seeded_codec(0, **TINY["codec"])).state_dict(), dict[str, float]()
    for name, weight in weights(folder).items():
        if not name.startswith("encoder.block.0."):
            part = name.split(".")[0]
            found[part] = max(found.get(part, 0.0), (weight - start[name]).abs().max().item())
    return found


def test_each_phase_starts_at_its_peak_and_ends_at_an_eighth() -> None:
    rates = [module._schedule(step, 40, 100) for step in range(100)]
    for phase in (rates[:40], rates[40:]):
        assert phase[0] == 1
        assert phase == sorted(phase, reverse=True)
        assert phase[-1] == pytest.approx(1 / 8, rel=0.1)


def test_losses_fall(soundscapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 2)
    train(tmp_path, soundscapes, {**TINY, "steps": 30, "learning_rate": 1e-3})
    first, last = history(tmp_path)[0], history(tmp_path)[-1]
    # Where nothing learns they stay; by how much they fall, a processor's rounding changes by several percent.
    for name, at_most in (("mel_from_latents", 0.99), ("mel_from_codes", 0.95), ("readout", 0.995)):
        assert last[name] < at_most * first[name], (name, history(tmp_path))


def test_an_interrupted_run_ends_the_same(
    run: Path, soundscapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL", 2)
    draws: list[int] = []

    def killed(*arguments: Any) -> Any:
        draws.append(1)
        if len(draws) == 5:  # for whitening, for validation, then a draw a step: in the third
            raise KeyboardInterrupt
        return draw_crops(*arguments)

    monkeypatch.setattr(module, "draw_crops", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, soundscapes, TINY)
    monkeypatch.setattr(module, "draw_crops", draw_crops)
    assert len(history(tmp_path)) == 1
    train(tmp_path, soundscapes, TINY)
    assert len(history(tmp_path)) == 2
    expected = weights(run)
    for name, found in weights(tmp_path).items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=0, msg=name)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in run.iterdir()} - {"last.pt"}


def test_a_finished_run_is_not_run_again(run: Path, soundscapes: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    assert train(run, soundscapes, TINY) == run / "demo_codec.safetensors"
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_files_are_those_of_a_plain_codec(run: Path) -> None:
    file = codec_weights.read_dac(run / "codec.pth", official=False)
    bundle = codec_weights.read_bundle(run / "demo_codec.safetensors")
    assert (file.dim, bundle.dim, bundle.hop, bundle.sample_rate) == (64, 64, 512, 44_100)
    stored = torch.load(run / "codec.pth", weights_only=True)
    plain = DAC(**stored["metadata"]["kwargs"])
    plain.load_state_dict(stored["state_dict"])
    audio = 0.05 * torch.randn(1, 5120, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = plain.encoder((audio * loudness.gains(audio, 44_100))[:, None]).transpose(1, 2)
        found = torch.cat([frames for frames, _ in CodecFrontEnd("demo", bundle).stream(audio)], dim=1)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * expected.abs().max().item())


def test_the_note_says_what_it_was_trained_on(run: Path) -> None:
    assert codec_weights.bundle_note(run / "demo_codec.safetensors") == (
        "trained 3 steps of 2 crops on 0 minutes of generated soundscapes (sensors=2 clips_per_sensor=2 seconds=0.5 "
        "seed=5), seed 0"
    )


def test_another_folder_of_audio_is_described_as_what_it_is(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, 0.1 * np.sin(np.arange(44_100 * 40) / 9), 44_100)
    sounds = load_sounds(tmp_path, 44_100, 5120)
    assert describe_audio(tmp_path, sounds, 44_100) == f"1 minutes of audio (1 files of the folder {tmp_path.name})"


def test_no_audio_means_generated_soundscapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def small(out: Path, **options: Any) -> Path:
        made.append(options)
        return synthesize(out, sensors=1, clips_per_sensor=2, seconds=0.2, workers=1, progress=False)

    monkeypatch.setattr(module, "synthesize", small)
    train(tmp_path, None, {**TINY, "steps": 1})
    assert made == [module.SOUNDSCAPES]
    assert module.SOUNDSCAPES["seed"] != 0  # the demo's data


def test_a_head_start_leaves_the_decoder_alone(soundscapes: Path, tmp_path: Path) -> None:
    train(tmp_path, soundscapes, {**TINY, "head_start": 3})
    start = unit_gain(seeded_codec(0, **TINY["codec"])).state_dict()
    moved = {name.split(".")[0] for name, weight in weights(tmp_path).items() if not torch.equal(weight, start[name])}
    assert moved == {"encoder"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"head_start": -1}, "head_start is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seconds_per_crop": 0.01}, "seconds_per_crop is 0.01"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"seconds_per_crop": 2.0}, r"0 audio files .* 2.00 s"),
    ],
)
def test_bad_options(soundscapes: Path, tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        train(tmp_path, soundscapes, {**TINY, **options})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        train(tmp_path, tmp_path / "nowhere", TINY)


def test_the_folder_of_another_run_is_refused(run: Path, soundscapes: Path) -> None:
    with pytest.raises(ValueError, match=r"another batch\b"):
        train(run, soundscapes, {**TINY, "batch": 3})


def test_a_loss_that_is_no_number_stops_it(soundscapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.LOSS_WEIGHTS, "mel", float("nan"))
    with pytest.raises(ValueError, match="epoch 1 "):
        train(tmp_path, soundscapes, TINY)


def test_fast_snake_is_the_codecs() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    alpha = (0.2 + torch.rand(1, 3, 1, generator=generator, dtype=torch.float64)).requires_grad_()
    torch.testing.assert_close(FastSnake.apply(x, alpha), snake(x, alpha))
    assert torch.autograd.gradcheck(FastSnake.apply, (x, alpha))


def test_unit_gain_keeps_the_size_of_sound() -> None:
    audio = 0.07 * torch.randn(4, 1, 8192, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shrunk, kept = (codec.encoder(audio).std() for codec in (seeded_codec(0), unit_gain(seeded_codec(0))))
    assert shrunk < 0.01 < 0.3 < kept < 10


def test_whitened_sound_is_white_behind_the_first_layer() -> None:
    red = torch.randn(8, 1, 8192, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    red = 0.1 * (red - red.mean(-1, keepdim=True)) / red.std()
    codec = seeded_codec(0)

    def tilt() -> float:
        """How far the lowest quarter of the spectrum lies above the highest, as a ratio of powers."""
        with torch.no_grad():
            power = torch.fft.rfft(codec.encoder.block[0](red)[..., 8:-8]).abs().square().mean((0, 1))
        return (power[: len(power) // 4].sum() / power[-len(power) // 4 :].sum()).item()

    assert tilt() > 100
    whiten(codec, red)
    assert tilt() < 10


def test_mel_distance_counts_quiet_sound_like_loud() -> None:
    from audiotools import AudioSignal

    noise = torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    loud, quiet = (mel_distance()(AudioSignal(x, 44_100), AudioSignal(2 * x, 44_100)) for x in (noise, 0.01 * noise))
    assert loud.item() == pytest.approx(7 * np.log10(2), rel=1e-3)
    assert quiet.item() == pytest.approx(loud.item(), rel=0.05)


def test_the_stft_distance_sees_a_mean_better_than_the_mel_distance() -> None:
    from audiotools import AudioSignal

    noise = 0.05 * torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    trainee = CodecWithReadout(seeded_codec(0, **TINY["codec"]), noise)

    def growth(loss: Any) -> float:
        """Of the loss, where a mean of 0.1 grows to one that fills the tanh."""
        near, far = (loss(AudioSignal(noise, 44_100), AudioSignal(noise + mean, 44_100)) for mean in (0.1, 0.9))
        return (far / near).item()

    assert growth(trainee.mel) < 2.5 < 6 < growth(trainee.stft)


def test_sounds_are_normalised_and_the_last_by_name_are_held_out(soundscapes: Path) -> None:
    sounds = load_sounds(soundscapes, 44_100, 5120)
    assert (len(sounds.train), len(sounds.held_out)) == (3, 1)
    for clip in (*sounds.train, *sounds.held_out):
        assert loudness.integrated_loudness(clip.numpy(), 44_100) == pytest.approx(-24, abs=0.01)


def test_crops_are_pieces_of_clips_drawn_by_the_generator() -> None:
    clips = [torch.arange(20.0), 100 + torch.arange(6.0)]
    crops = draw_crops(clips, 50, 5, torch.Generator().manual_seed(1))
    assert crops.shape == (50, 1, 5)
    assert (crops.diff(dim=-1) == 1).all()
    assert {int(x) for x in crops[crops[:, 0, 0] >= 100, 0, 0]} == {100, 101}
    assert torch.equal(crops, draw_crops(clips, 50, 5, torch.Generator().manual_seed(1)))


def test_other_microphones_colour_but_keep_the_level() -> None:
    crops = torch.randn(3, 1, 4096, generator=torch.Generator().manual_seed(0))
    coloured = random_microphone_eq(crops, 44_100, torch.Generator().manual_seed(1))
    torch.testing.assert_close(coloured.square().mean(-1), crops.square().mean(-1))
    ratio = 20 * (torch.fft.rfft(coloured).abs() / torch.fft.rfft(crops).abs()).log10()[..., 5:]
    assert 1 < ratio.std() < 10
    assert ratio.diff(dim=-1).abs().max() < 1  # smooth: no step between neighbouring bins
    silence = random_microphone_eq(torch.zeros(1, 1, 4096), 44_100, torch.Generator())
    assert torch.equal(silence, torch.zeros(1, 1, 4096))


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "run"))


@pytest.mark.parametrize("name", ["state.pt", "settings.json", "history.jsonl"])
def test_a_damaged_file_of_a_run_is_named(run: Path, soundscapes: Path, tmp_path: Path, name: str) -> None:
    file = copied(run, tmp_path) / name
    shutil.move(file.with_name("last.pt"), file.with_name("state.pt"))
    for content in (file.read_bytes()[: file.stat().st_size // 2], b"[1]", b""):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=str(file)):
            train(file.parent, soundscapes, TINY)


@pytest.mark.parametrize("name", ["codec.pth", "demo_codec.safetensors"])
def test_a_result_that_a_finished_run_has_lost_is_written_again(
    run: Path, soundscapes: Path, tmp_path: Path, name: str
) -> None:
    folder = copied(run, tmp_path)
    (folder / name).unlink()
    train(folder, soundscapes, TINY)
    expected = weights(run)
    for tensor, found in weights(folder).items():
        torch.testing.assert_close(found, expected[tensor], rtol=0, atol=0)
    assert (folder / name).exists()
