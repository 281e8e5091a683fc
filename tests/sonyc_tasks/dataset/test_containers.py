"""Length fields of every container, changed at will: the right samples, or an error that names the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonyc_tasks.dataset.audio import duration, read_header, read_mono
from sonyc_tasks.dataset.containers import sample_lengths

RATE, FRAMES = 8000, 4000
NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, FRAMES)

#: (format, kind of samples) → its length fields, as (marker, bytes behind the marker's beginning, width, order).
FIELDS = {
    ("WAV", "PCM_16"): [(b"RIFF", 4, 4, "little"), (b"data", 4, 4, "little")],
    ("WAV", "FLOAT"): [(b"fact", 8, 4, "little"), (b"data", 4, 4, "little")],
    ("WAV", "MS_ADPCM"): [(b"fact", 8, 4, "little"), (b"data", 4, 4, "little")],
    ("WAVEX", "PCM_24"): [(b"RIFF", 4, 4, "little"), (b"data", 4, 4, "little")],
    ("RF64", "PCM_16"): [(b"ds64", 8, 8, "little"), (b"ds64", 16, 8, "little"), (b"ds64", 24, 8, "little")],
    ("W64", "PCM_16"): [(b"riff", 16, 8, "little"), (b"data", 16, 8, "little")],
    ("AIFF", "PCM_16"): [(b"FORM", 4, 4, "big"), (b"COMM", 10, 4, "big"), (b"SSND", 4, 4, "big")],
    ("AU", "PCM_16"): [(b".snd", 8, 4, "big")],
    ("CAF", "PCM_16"): [(b"data", 4, 8, "big")],
    ("OGG", "VORBIS"): [(b"OggS", 6, 8, "little")],  # where the last page ends; pages have checksums
    ("FLAC", "PCM_16"): [(b"fLaC", 21, 5, "big")],  # 36 of these 40 bits
}


def encoded(kind: tuple[str, str], frames: int = FRAMES) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, NOISE[:frames], RATE, format=kind[0], subtype=kind[1])
    return file.getvalue()


WHOLE = {kind: encoded(kind) for kind in FIELDS}
DECODED = {kind: soundfile.read(io.BytesIO(content), dtype="float32")[0] for kind, content in WHOLE.items()}


def with_length(kind: tuple[str, str], field: tuple[bytes, int, int, str], value: int) -> bytes:
    marker, offset, width, order = field
    content = bytearray(WHOLE[kind])
    place = content.rindex(marker) + offset if kind[0] == "OGG" else content.index(marker) + offset
    if kind[0] == "FLAC":
        value = int.from_bytes(content[place : place + 5], "big") >> 36 << 36 | value % (1 << 36)
    content[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return bytes(content)


SIZES = st.one_of(
    st.sampled_from(
        [0, 1, FRAMES // 2, FRAMES, FRAMES + 1, (1 << 31) - 1, (1 << 32) - 1, (1 << 36) - 1, (1 << 63) - 1]
    ),
    st.integers(0, 4 * FRAMES),
    st.integers(0, (1 << 64) - 1),
)


@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(sorted(FIELDS)), data=st.data(), value=SIZES)
def test_any_length_gives_the_samples_or_an_error(
    tmp_path: Path, kind: tuple[str, str], data: st.DataObject, value: int
) -> None:
    path = tmp_path / "x.audio"
    path.write_bytes(with_length(kind, data.draw(st.sampled_from(FIELDS[kind])), value))
    fault, samples, seconds = "", np.zeros(0), 0.0
    try:
        samples, seconds = read_mono(path, RATE), duration(path)
    except ValueError as error:
        fault = str(error)
    if fault:
        assert str(path) in fault
        return
    expected = DECODED[kind]
    assert 0.99 * len(expected) <= len(samples) <= len(expected)  # writers that miscount by a tag do no harm
    np.testing.assert_array_equal(samples, expected[: len(samples)])
    assert seconds * RATE == pytest.approx(len(samples))


@pytest.mark.parametrize("kind", FIELDS)
def test_what_soundfile_writes_is_whole(tmp_path: Path, kind: tuple[str, str]) -> None:
    path = tmp_path / "x.audio"
    for frames in (FRAMES, 3001):
        path.write_bytes(encoded(kind, frames))
        assert read_header(path, thorough=True).whole
        assert len(read_mono(path, RATE)) == duration(path) * RATE == len(soundfile.read(path)[0])


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, kind: tuple[str, str], share: float) -> None:
    path = tmp_path / "x.audio"
    path.write_bytes(WHOLE[kind][: int(share * len(WHOLE[kind]))])
    with pytest.raises(ValueError, match=r"x\.audio"):
        read_mono(path, RATE)


@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("AIFF", "PCM_16")])
def test_what_stands_behind_the_samples_is_no_fault(tmp_path: Path, kind: tuple[str, str]) -> None:
    path = tmp_path / "x.audio"
    order = "little" if kind[0] == "WAV" else "big"
    tags = b"note" + (9001).to_bytes(4, order) + b"\xa5" * 9001 + b"\0"  # type: ignore[arg-type]
    for tail in (tags, tags + tags, tags[:-1], bytes(5000), b"TAG"):  # chunks, no padding, a card's zeros, a stray tag
        path.write_bytes(WHOLE[kind] + tail)
        np.testing.assert_array_equal(read_mono(path, RATE), DECODED[kind])
        assert read_header(path, thorough=True).whole


def test_a_length_that_its_writer_could_not_know(tmp_path: Path) -> None:
    path = tmp_path / "x.audio"
    for kind, field, value in [
        (("WAV", "PCM_16"), (b"data", 4, 4, "little"), 0xFFFF_FFFF),
        (("AU", "PCM_16"), (b".snd", 8, 4, "big"), 0xFFFF_FFFF),
        (("FLAC", "PCM_16"), (b"fLaC", 21, 5, "big"), 0),
    ]:
        path.write_bytes(with_length(kind, field, value))
        assert sample_lengths(path) is None
        np.testing.assert_array_equal(read_mono(path, RATE), DECODED[kind])
        assert duration(path) == FRAMES / RATE
        assert read_header(path, thorough=True).whole


def test_a_damaged_page_of_ogg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.audio"
    soundfile.write(path, np.tile(NOISE, 10), RATE, format="OGG", subtype="VORBIS")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert 0 < len(soundfile.read(path)[0]) < 10 * FRAMES  # libsndfile passes over it
    with pytest.raises(ValueError, match=r"x\.audio"):
        read_mono(path, RATE)
