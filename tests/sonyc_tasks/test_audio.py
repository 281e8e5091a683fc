from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sonyc_tasks.audio import duration, fit, read_mono, write_pcm16


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
        with pytest.raises(ValueError, match=r"there is no audio file .*missing\.wav; check the path"):
            read(tmp_path / "missing.wav")
        (tmp_path / "text.wav").write_text("no audio")
        with pytest.raises(ValueError, match=r"text\.wav cannot be decoded as audio; fetch it again"):
            read(tmp_path / "text.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(ValueError, match=r"empty\.wav holds no samples; fetch it again"):
        read_mono(tmp_path / "empty.wav", 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan\.wav holds NaN or infinite samples; convert it again"):
        read_mono(tmp_path / "nan.wav", 8000)
