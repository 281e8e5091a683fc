"""Data sets with one fault each, and what the check says of them."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sonyc_tasks.__main__ import main
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.dataset.audio import duration
from sonyc_tasks.dataset.check import NOTES, PROBLEMS, check


@pytest.fixture
def data(tmp_path: Path, write_dataset: Any) -> Path:
    """Six clips of two sensors, named 01_000001.wav … 02_000006.wav, of a quarter second at 8 kHz."""
    return write_dataset(tmp_path / "data", {1: 3, 2: 3})


def found(root: Path) -> dict[str, list[str]]:
    return {problem: names for problem, names in check(root).problems.items() if names}


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def test_a_sound_data_set(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check(data)
    assert report.sound
    assert list(report.problems) == list(PROBLEMS)
    assert (report.clips, report.sensors, report.sample_rate, report.seconds) == (6, 2, 8000, 0.25)
    assert main(["check", str(data)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^missing +0\b", out, re.MULTILINE)
    assert all(words in out for words in ("6 clips of 2 sensors", "8000 Hz", "0.25 s", "48000 Hz"))
    assert f"next: python -m sonyc_tasks build {data} --tasks-dir tasks" in out


def test_missing_and_extra(data: Path, write_noise: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "audio" / "01_000002.wav").unlink()
    (data / "audio" / "02_000006.wav").unlink()
    write_noise(data / "audio" / "07_000077.wav")
    assert found(data) == {"missing": ["01_000002.wav", "02_000006.wav"], "extra": ["07_000077.wav"]}
    assert main(["check", str(data)]) == 1
    captured = capsys.readouterr()
    assert re.search(r"^missing +2 .*: 01_000002\.wav, 02_000006\.wav$", captured.out, re.MULTILINE)
    error = captured.err.splitlines()[-1]
    assert all(words in error for words in (str(data), "2 missing, 1 extra", f"python -m sonyc_tasks download {data}"))


def test_the_same_recording_twice(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under one sensor it does no harm, as it stays in one set; under two, one of them is wrong."""
    audio = data / "audio"
    (audio / "01_000002.wav").write_bytes((audio / "01_000001.wav").read_bytes())
    report = check(data)
    assert report.sound
    assert report.notes == {"antiphase": [], "duplicate": ["01_000001.wav = 01_000002.wav"]}
    assert main(["check", str(data)]) == 0
    assert "01_000001.wav = 01_000002.wav" in capsys.readouterr().out
    (audio / "02_000005.wav").write_bytes((audio / "01_000003.wav").read_bytes())
    assert found(data) == {"two sensors": ["01_000003.wav = 02_000005.wav"]}
    assert main(["check", str(data)]) == 1
    assert "annotations.csv" in capsys.readouterr().err.splitlines()[-1]


def test_only_extra_files(data: Path, write_noise: Any) -> None:
    write_noise(data / "audio" / "07_000077.wav")
    advice = check(data).advice()
    assert advice.startswith(str(data))
    assert "1 extra" in advice
    assert "sonyc_tasks download" not in advice  # which would not help


def test_a_clip_without_labels_is_not_extra(
    tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any
) -> None:
    rows = [annotation("01_000001.wav", 1, 11), annotation("01_000002.wav", 1, -1)]  # the second: a team member's only
    write_annotations(tmp_path, rows)
    for name in ("01_000001.wav", "01_000002.wav"):
        write_noise(tmp_path / "audio" / name)
    with pytest.warns(UserWarning, match=r"annotations\.csv.*\b1\b"):
        assert check(tmp_path).sound


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_wav_file_that_ends_early(data: Path, share: float) -> None:
    path = data / "audio" / "01_000001.wav"
    cut(path, share)
    assert duration(path) < 0.25  # libsndfile takes it for a shorter file, without a word
    assert found(data) == {"truncated": ["01_000001.wav"]}


def test_chunks_before_the_samples_are_passed_over(data: Path) -> None:
    path = data / "audio" / "01_000001.wav"
    content = path.read_bytes()
    position = content.index(b"data")
    odd = b"note" + struct.pack("<I", 5) + b"data!" + b"\0"  # of odd length, padded, and with a misleading word in it
    path.write_bytes(content[:position] + odd + content[position:])
    assert found(data) == {}
    cut(path, 0.999)
    assert found(data) == {"truncated": ["01_000001.wav"]}


def test_a_length_that_its_writer_could_not_know(data: Path) -> None:
    path = data / "audio" / "01_000001.wav"
    content = bytearray(path.read_bytes())
    position = content.index(b"data") + 4
    content[position : position + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert found(data) == {}


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_a_flac_file_that_ends_early(tmp_path: Path, write_dataset: Any, share: float) -> None:
    root = write_dataset(tmp_path, {1: 3}, suffix=".flac")
    assert check(root).sound
    cut(root / "audio" / "01_000002.flac", share)
    assert found(root) == {"truncated": ["01_000002.flac"]}


@pytest.mark.parametrize(("seconds", "problems"), [(0.2, ["truncated"]), (0.249, []), (0.5, []), (0.0, ["truncated"])])
def test_whole_files_of_another_length(data: Path, write_noise: Any, seconds: float, problems: list[str]) -> None:
    write_noise(data / "audio" / "01_000001.wav", seconds)
    assert list(found(data)) == problems


def test_another_sample_rate(data: Path, write_noise: Any) -> None:
    write_noise(data / "audio" / "01_000001.wav", 0.25, 11_025)
    assert found(data) == {"wrong rate": ["01_000001.wav"]}


def test_unreadable(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "audio" / "01_000001.wav").write_bytes(b"")
    (data / "audio" / "01_000002.wav").write_text("<html>too many requests</html>")
    assert found(data) == {"unreadable": ["01_000001.wav", "01_000002.wav"]}
    assert main(["check", str(data)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert all(words in error for words in (str(data), "2 unreadable", "delete", f"sonyc_tasks download {data}"))


def test_only_the_first_names_are_shown(data: Path) -> None:
    for path in (data / "audio").iterdir():
        path.unlink()
    table = check(data).table()
    assert re.search(r"^missing +6 .*: 01_000001\.wav, 01_000002\.wav, 01_000003\.wav, …$", table, re.MULTILINE)
    assert "6 clips of 2 sensors" in table


def test_the_samples_of_most_formats_are_found_whole(data: Path) -> None:
    """The reader of chunks against soundfile's writers of WAV, one per kind of sample."""
    path = data / "audio" / "01_000001.wav"
    for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"):
        soundfile.write(str(path), np.zeros(2001), 8000, subtype=kind)
        assert found(data) == {}, kind
        cut(path, 0.999)
        assert found(data) == {"truncated": [path.name]}, kind


def test_ambiguous_names(data: Path, write_noise: Any) -> None:
    write_noise(data / "audio" / "audio-0" / "01_000001.wav", seed=9)
    report = check(data)
    assert found(data) == {"ambiguous": ["01_000001.wav"]}
    assert "sonyc_tasks download" not in report.advice()  # which would not help
    assert "1 ambiguous" in report.advice()


def test_files_of_one_name_in_two_folders(
    tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any
) -> None:
    names = ["audio-0/rec.wav", "audio-1/rec.wav"]
    write_annotations(tmp_path, [annotation(name, k, 11) for k, name in enumerate(names)])
    for seed, name in enumerate(names):
        write_noise(tmp_path / name, seed=seed)
    assert check(tmp_path).sound
    cut(tmp_path / names[1], 0.5)
    assert found(tmp_path) == {"truncated": [names[1]]}


def test_upper_case_endings(data: Path) -> None:
    for path in (data / "audio").iterdir():
        path.rename(path.with_suffix(".WAV"))
    assert check(data).sound


def test_samples_far_beyond_full_scale(data: Path) -> None:
    for name, peak in (("01_000001.wav", 20_000), ("01_000002.wav", np.nan), ("01_000003.wav", 1.5)):
        samples = peak * np.sin(np.arange(2000))
        soundfile.write(str(data / "audio" / name), samples, 8000, subtype="FLOAT")
    assert found(data) == {"off scale": ["01_000001.wav", "01_000002.wav"]}


def test_channels_in_antiphase_are_told(data: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2000)
    for name, other in (("01_000001.wav", -noise), ("01_000002.wav", noise)):
        soundfile.write(str(data / "audio" / name), np.stack([noise, other], axis=1), 8000)
    report = check(data)
    assert report.sound  # it can be read, with a warning
    assert report.notes == {note: ["01_000001.wav"] if note == "antiphase" else [] for note in NOTES}
    assert "01_000001.wav" in report.table()


def test_flac_of_unknown_length_is_whole(tmp_path: Path, write_dataset: Any) -> None:
    root = write_dataset(tmp_path, {1: 3}, suffix=".flac")
    for path in (root / "audio").iterdir():
        content = bytearray(path.read_bytes())
        content[21] &= 0xF0
        content[22:42] = bytes(20)
        path.write_bytes(content)
    report = check(root)
    assert (report.sound, report.seconds) == (True, 0.25)
    cut(root / "audio" / "01_000002.flac", 0.5)
    assert found(root) == {"unreadable": ["01_000002.flac"]}


def test_flac_is_decoded_to_its_end(tmp_path: Path, write_dataset: Any) -> None:
    """The header and the end of a FLAC file do not show what is damaged in between."""
    root = write_dataset(tmp_path / "data", {1: 3}, suffix=".flac", seconds=3)
    path = root / "audio" / "01_000001.flac"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert found(root) == {"unreadable": [path.name]}


def test_flac_of_unknown_length_without_samples(tmp_path: Path, write_dataset: Any) -> None:
    root = write_dataset(tmp_path / "data", {1: 3}, suffix=".flac")
    paths = sorted((root / "audio").iterdir())
    for path in paths:
        content = bytearray(path.read_bytes())
        content[21] &= 0xF0
        content[22:42] = bytes(20)
        path.write_bytes(content[: content.index(b"\xff\xf8")])  # where the first frame begins
    assert found(root) == {"truncated": [path.name for path in paths]}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
def test_a_name_that_is_not_utf8(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (data / "audio" / "01_000001.wav").rename(data / "audio" / "caf\udce9.wav")
    assert found(data) == {"missing": ["01_000001.wav"], "extra": ["caf\\udce9.wav"]}
    assert main(["check", str(data)]) == 1
    assert "caf" in capfd.readouterr().out
    with pytest.raises(ValueError, match="UTF-8"):
        duration(data / "audio" / "caf\udce9.wav")


def test_more_samples_than_announced(data: Path) -> None:
    path = data / "audio" / "01_000001.wav"
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = (2000).to_bytes(4, "little")  # bytes, of 4000
    path.write_bytes(content)
    assert found(data) == {"truncated": [path.name]}


def test_a_data_set_that_is_none(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        check(tmp_path / "nowhere")
    (data / "annotations.csv").write_text("split,sensor_id\n")
    assert main(["check", str(data)]) == 1
    assert "audio_filename" in capsys.readouterr().err


def test_what_is_sound_can_be_read(dataset: Path) -> None:
    assert check(dataset).sound
    assert len(read_clips(dataset)) == check(dataset).clips
