from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonyc_tasks.dataset import audio
from sonyc_tasks.dataset.audio import OVERSHOOT, duration, fit, open_mono, read_header, read_mono, write_pcm16


def test_channels_are_averaged_and_the_rate_converted(tmp_path: Path) -> None:
    rate, seconds = 48_000, 0.5
    time = np.arange(round(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * 1000 * time)
    soundfile.write(tmp_path / "x.wav", np.stack([0.5 * tone, 0.1 * tone], axis=1), rate, subtype="FLOAT")

    samples = read_mono(tmp_path / "x.wav", 44_100)

    assert samples.dtype == np.float32
    assert samples.shape == (round(44_100 * seconds),)
    expected = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(len(samples)) / 44_100)
    inner = slice(1000, -1000)  # the filter rings where the tone begins and ends
    np.testing.assert_allclose(samples[inner], expected[inner], atol=2e-4)


def test_sixteen_bit_audio_survives_bit_for_bit(tmp_path: Path) -> None:
    codes = np.array([-32768, -32767, -1, 0, 1, 12345, 32767], dtype=np.int16)
    soundfile.write(tmp_path / "in.flac", codes, 44_100, subtype="PCM_16")
    limited = write_pcm16(tmp_path / "out.wav", read_mono(tmp_path / "in.flac", 44_100), 44_100)
    assert not limited
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="int16")[0], codes)


def test_samples_beyond_full_scale_are_limited_and_reported(tmp_path: Path) -> None:
    assert write_pcm16(tmp_path / "x.wav", np.array([1.2, -1.2, 0.5]), 8000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "x.wav", dtype="int16")[0], [32767, -32768, 16384])
    assert not write_pcm16(tmp_path / "y.wav", np.array([1.0, -1.0]), 8000)


@pytest.mark.parametrize("length", [0, 1, 4, 5, 9])
def test_fit_gives_the_length(length: int) -> None:
    samples = np.arange(1, 6, dtype=np.float32)
    fitted = fit(samples, length)
    assert len(fitted) == length
    assert fitted.dtype == np.float32
    np.testing.assert_array_equal(fitted[:5], samples[:length])
    assert not fitted[5:].any()


def test_duration_is_in_seconds(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(12_000), 48_000)
    assert duration(tmp_path / "x.wav") == 0.25


def test_errors_name_the_file(tmp_path: Path) -> None:
    for read in (lambda path: read_mono(path, 8000), duration):
        with pytest.raises(ValueError, match=r"missing\.wav"):
            read(tmp_path / "missing.wav")
        (tmp_path / "text.wav").write_text("no audio")
        with pytest.raises(ValueError, match=r"text\.wav"):
            read(tmp_path / "text.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(ValueError, match=r"empty\.wav.*no samples"):
        read_mono(tmp_path / "empty.wav", 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan\.wav.*NaN"):
        read_mono(tmp_path / "nan.wav", 8000)


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 4))


@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_channels_that_cancel_are_not_averaged(tmp_path: Path, gain: float) -> None:
    path = tmp_path / "anti.wav"
    offset = 0.2  # a constant is no sound, and stays in the mean
    soundfile.write(path, np.stack([-gain * NOISE[:, 0], NOISE[:, 0]], axis=1) + offset, 8000)
    with pytest.warns(UserWarning, match=r"anti\.wav"):
        samples = read_mono(path, 8000)
    np.testing.assert_allclose(samples, NOISE[:, 0] + offset, atol=1e-4)


@pytest.mark.parametrize(
    "channels",
    [
        [NOISE[:, 0], NOISE[:, 0]],
        [NOISE[:, 0], NOISE[:, 1]],
        [NOISE[:, 0], 0 * NOISE[:, 0]],
        [NOISE[:, 0], -0.3 * NOISE[:, 0]],
        [0 * NOISE[:, 0], 0 * NOISE[:, 0]],
        [NOISE[:, 0], *[0 * NOISE[:, 0]] * 7],
        list(NOISE.T),
    ],
)
def test_the_mean_of_other_channels(tmp_path: Path, channels: list[np.ndarray]) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack(channels, axis=1), 8000, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = read_mono(path, 8000)
    np.testing.assert_allclose(samples, np.mean(channels, axis=0), atol=1e-6)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_in_steps_are_refused_by_name(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "steps.wav"
    for peak in (2.1, 100, 32767):
        soundfile.write(path, peak * np.sin(np.arange(8000)), 8000, subtype=subtype)
        with pytest.raises(ValueError, match=r"steps\.wav"):
            read_mono(path, 8000)


def test_a_little_overshoot_is_kept(tmp_path: Path) -> None:
    wave = 0.99 * OVERSHOOT * np.sin(np.arange(8000))
    soundfile.write(tmp_path / "x.wav", wave, 8000, subtype="FLOAT")
    np.testing.assert_allclose(read_mono(tmp_path / "x.wav", 8000), wave, rtol=1e-6)


def test_what_sixteen_bits_cannot_hold_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.wav"):
        write_pcm16(tmp_path / "x.wav", np.array([0.1, -300.0]), 8000)
    assert not (tmp_path / "x.wav").exists()
    with pytest.warns(UserWarning, match=r"y\.wav"):  # 16-bit steps in a 32-bit file
        write_pcm16(tmp_path / "y.wav", np.array([0, 2**-18, -(2**-18)]), 8000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_pcm16(tmp_path / "z.wav", np.zeros(9), 8000)


def unknown_length(path: Path, samples: np.ndarray, rate: int) -> None:
    """FLAC as an encoder writes it into a pipe: RFC 9639, 8.2, the number of samples and the MD5 are 0."""
    soundfile.write(path, samples, rate, format="FLAC", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:42] = bytes(20)
    path.write_bytes(content)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_flac_of_unknown_length(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "x.flac"
    frames = 400_000  # more than a block, of several channels
    wave = np.random.default_rng(0).uniform(-0.9, 0.9, (frames, channels))
    unknown_length(path, wave, 8000)
    samples = read_mono(path, 8000)
    assert len(samples) == frames
    np.testing.assert_allclose(samples, wave.mean(axis=1), atol=2**-15)
    assert duration(path) == frames / 8000
    assert read_header(path, thorough=True).whole
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (lambda path: read_mono(path, 8000), duration):
        with pytest.raises(ValueError, match=r"x\.flac"):
            read(path)


def test_memory_goes_by_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, NOISE[:, 0], 8000)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # and so 2^36 - 1 samples
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"x\.flac"):
            read_mono(path, 8000)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [1, 999, 2_000_000, 2**31 - 1])
def test_a_sample_rate_that_none_is(tmp_path: Path, rate: int) -> None:
    """The cost of resampling goes by the ratio of two rates, and a header may give any."""
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE[:, 0], 8000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    for read in (lambda path: read_mono(path, 44_100), duration):
        with pytest.raises(ValueError, match=r"x\.wav"):
            read(path)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OverflowError(), RuntimeError("x"), ValueError("array is too big"), OSError(5, "I/O error")],
)
def test_errors_of_libraries_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE[:, 0], 8000)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(ValueError, match=r"x\.wav"):
        read_mono(path, 8000)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rates=st.tuples(*[st.sampled_from([8000, 11_025, 12_345, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])] * 2),
    channels=st.integers(1, 9),
    frames=st.integers(1, 30_000),
    block=st.sampled_from([16, 1000, 4096, 1 << 20]),
    keep=st.sampled_from([None, 0, 5000]),
)
def test_blocks_are_the_bits_of_one_shot_resampling(
    tmp_path: Path, rates: tuple[int, int], channels: int, frames: int, block: int, keep: int | None
) -> None:
    """However a file is cut into blocks, and whether it is decoded once or twice."""
    path = tmp_path / "x.flac" if channels <= 8 and frames % 2 else tmp_path / "x.wav"
    rng = np.random.default_rng(frames)
    common = 0.4 * (-1.0) ** np.arange(frames)[:, None]  # so that channels never cancel each other
    soundfile.write(path, common + rng.uniform(-0.1, 0.1, (frames, channels)), rates[0])
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    expected = soxr.resample(whole.mean(axis=1, dtype=np.float32), *rates, quality="HQ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "_BLOCK", block)
        opened = open_mono(path, rates[1], keep=keep)
        blocks = list(opened.blocks())
        assert opened.length == len(expected)
        assert opened.in_memory == (keep is None or whole.size <= keep)
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
        np.testing.assert_array_equal(np.concatenate(list(opened.blocks())), expected)  # and once more
        np.testing.assert_array_equal(read_mono(path, rates[1]), expected)


@pytest.mark.parametrize("rates", [(48_000, 44_100), (44_100, 16_000), (96_000, 44_100), (192_000, 16_000)])
def test_resampling_lets_no_alias_through(tmp_path: Path, rates: tuple[int, int]) -> None:
    """A sweep over all that the lower rate cannot hold leaves less than -80 dB of it; what it can hold stays."""
    source, target = rates
    seconds, amplitude = 4.0, 0.5
    time = np.arange(round(source * seconds)) / source

    def level(first: float, last: float) -> np.ndarray:
        """Level of a sweep between two frequencies (Hz) behind the reader, dB of its own level, in each 10 ms."""
        phase = 2 * np.pi * (first * time + (last - first) * time**2 / (2 * seconds))
        soundfile.write(tmp_path / "x.wav", amplitude * np.sin(phase), source, subtype="DOUBLE")
        samples = read_mono(tmp_path / "x.wav", target)[target // 4 : -target // 4].astype(np.float64)  # no edges
        power = samples[: len(samples) // (target // 100) * (target // 100)].reshape(-1, target // 100) ** 2
        return 10 * np.log10(power.mean(axis=1) / (amplitude**2 / 2))

    assert level(0.502 * target, 0.49 * source).max() < -80
    assert np.abs(level(0.1 * target, 0.45 * target)).max() < 0.1


def test_cancelling_channels_are_found_in_blocks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "anti.wav"
    drift = np.linspace(-0.3, 0.3, len(NOISE))  # so that the mean of a block is not that of the file
    soundfile.write(path, np.stack([0.5 * NOISE[:, 0] + drift, -NOISE[:, 0] - drift], axis=1), 8000)
    monkeypatch.setattr(audio, "_BLOCK", 100)
    with pytest.warns(UserWarning, match=r"anti\.wav"):
        opened = open_mono(path, 8000, keep=0)
    assert opened.channel == 1
    power = audio.ChannelPower()
    for start in range(0, len(NOISE), 77):
        power.add(NOISE[start : start + 77])
    expected = [*NOISE.var(axis=0), NOISE.mean(axis=1).var()]
    np.testing.assert_allclose(power._squares / power.frames, expected, rtol=1e-12)


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", NOISE[:, 0], 8000)
    opened = open_mono(tmp_path / "x.wav", 8000, keep=0)
    soundfile.write(tmp_path / "x.wav", NOISE[:100, 0], 8000)
    with pytest.raises(ValueError, match=r"x\.wav"):
        list(opened.blocks())


def test_a_stream_holds_little_of_a_long_flac_file(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    frames = 12_000_000
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(12):
            file.write(np.random.default_rng(0).uniform(-0.5, 0.5, frames // 12))
    tracemalloc.start()
    try:
        opened = open_mono(path, 8000, keep=1 << 20)
        assert sum(map(len, opened.blocks())) == frames
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size  # 18 MB; decoded it is 48 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("frames", [1200, 3600, 8400, 1680])
def test_half_a_sample_is_rounded_as_soxr_does(tmp_path: Path, frames: int) -> None:
    """At 44.1 kHz, each is half a sample longer than a whole number; soxr rounds some up and some down."""
    assert (frames * 44_100 / 48_000) % 1 == 0.5
    soundfile.write(tmp_path / "x.wav", np.zeros(frames), 48_000)
    expected = len(soxr.resample(np.zeros(frames, np.float32), 48_000, 44_100, quality="HQ"))
    assert open_mono(tmp_path / "x.wav", 44_100).length == expected
    assert len(read_mono(tmp_path / "x.wav", 44_100)) == expected
