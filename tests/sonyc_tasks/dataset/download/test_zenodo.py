"""The data set's download against a local server with tiny archives: whole, mended, refused."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.__main__ import main
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.dataset.check import check
from sonyc_tasks.dataset.download import zenodo as module
from sonyc_tasks.dataset.download.zenodo import download, read_record

GB = 1_000_000_000


# ---------------------------------------------------------------------------------------------------- the whole way


def test_download_check_read(server: Any, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", str(data), "--record", server.record]) == 0
    captured = capsys.readouterr()
    done, following = captured.out.splitlines()
    assert all(words in done for words in (str(data), "4 files", server.record))
    assert following == f"next: python -m sonyc_tasks check {data}"
    assert "fetching audio-10.tar.gz (4 of 4)" in captured.err
    assert "unpacking audio-0.tar.gz (3 of 4)" in captured.err
    assert "warning" not in captured.err
    server.assert_complete(data)
    assert server.files_asked() == ["annotations.csv", "dcase-ust-taxonomy.yaml", "audio-0.tar.gz", "audio-10.tar.gz"]
    assert main(["check", str(data)]) == 0
    assert [clip.name for clip in read_clips(data)] == sorted(path.name for path in (data / "audio").iterdir())


def test_the_second_call_asks_for_nothing(server: Any, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(data, record=server.record)
    server.asked.clear()
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    assert main(["download", str(data), "--record", server.record]) == 0
    assert server.asked == []
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert re.search(rf"{data}: .*\b4\b", capsys.readouterr().out)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 1000)])
def test_what_check_finds_a_second_call_mends(server: Any, data: Path, damage: Callable[[Path], None]) -> None:
    download(data, record=server.record)
    damage(data / "audio" / "02_000005.wav")
    assert not check(data).sound
    server.asked.clear()
    download(data, record=server.record)
    assert server.files_asked() == ["audio-10.tar.gz"]
    assert check(data).sound
    server.assert_complete(data)


def test_archives_can_be_kept_and_are_used_again(server: Any, data: Path) -> None:
    assert main(["download", str(data), "--keep-archives", "--record", server.record]) == 0
    archives = ("audio-0.tar.gz", "audio-10.tar.gz")
    server.assert_complete(data, archives)
    (data / "audio" / "01_000001.wav").unlink()
    server.asked.clear()
    download(data, record=server.record, keep_archives=True)
    assert server.files_asked() == []
    server.assert_complete(data, archives)


# -------------------------------------------------------------------------------------------------------- the md5s


def test_a_wrong_md5(server: Any, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.write_record(audio_0={"checksum": "md5:" + "0" * 32})
    assert main(["download", str(data), "--record", server.record]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {data / 'audio-0.tar.gz.part'} ")
    assert "0" * 32 in error
    assert list(data.glob("audio*")) == []
    server.write_record()
    download(data, record=server.record)
    server.assert_complete(data)


def test_a_wrong_beginning_is_found_by_the_md5(server: Any, data: Path) -> None:
    data.mkdir()
    (data / "audio-0.tar.gz.part").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"audio-0\.tar\.gz\.part.*md5"):
        download(data, record=server.record)


def test_a_wrong_md5_of_the_annotations_is_a_warning(
    server: Any, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.write_record(annotations={"checksum": "md5:" + "0" * 32})
    assert main(["download", str(data), "--record", server.record]) == 0
    err = capsys.readouterr().err
    md5 = hashlib.md5((server.folder / "annotations.csv").read_bytes()).hexdigest()
    assert re.search(rf"warning: annotations\.csv.*{md5}.*{'0' * 32}", err)
    server.assert_complete(data)
    assert main(["download", str(data), "--record", server.record]) == 0
    assert "warning" not in capsys.readouterr().err
    # The md5 that other lists of the record's files give is as good as the record's.
    monkeypatch.setattr(module, "_ANNOTATIONS_MD5", md5)
    assert main(["download", str(data.with_name("other")), "--record", server.record]) == 0
    assert "warning" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ the record


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("<html>", r"record\.json.*JSON"),
        ("[]", r"record\.json"),
        ('{"files": [{"key": "a"}]}', r"record\.json"),
        ('{"files": []}', r"record\.json.*annotations\.csv"),
    ],
)
def test_a_record_that_is_none(server: Any, data: Path, answer: str, message: str) -> None:
    (server.folder / "record.json").write_text(answer)
    with pytest.raises(ValueError, match=message):
        download(data, record=server.record)
    assert not data.exists()


@pytest.mark.parametrize("name", ["../x.csv", "/x.csv", ".download.json", "a/b.csv", "a\\b.csv", ""])
def test_a_record_with_names_that_are_paths(server: Any, name: str) -> None:
    server.write_record(annotations={"key": name})
    with pytest.raises(ValueError, match=r"record\.json"):
        read_record(server.record)


def test_archives_come_in_order_of_their_numbers(server: Any) -> None:
    for number in (9, 18):
        (server.folder / f"audio-{number}.tar.gz").write_bytes(b"")
    server.write_record()
    assert [file.name for file in read_record(server.record)] == [
        "annotations.csv",
        "dcase-ust-taxonomy.yaml",
        *(f"audio-{number}.tar.gz" for number in (0, 9, 10, 18)),
    ]


# ------------------------------------------------------------------------------------------------------- the folder


@pytest.mark.parametrize(("keep", "needed"), [(False, "19.3"), (True, "31.9")])
def test_no_space(
    server: Any,
    data: Path,
    keep: bool,
    needed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(19):  # 13.3 GB in all, as the data set has; unpacked 1.4 times that, and the archives or one
        (server.folder / f"audio-{number}.tar.gz").touch()
    server.write_record(**{f"audio_{number}": {"size": 700_000_000} for number in range(19)})
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100 * GB, 90 * GB, int(10.04 * GB)))
    options = ["--keep-archives"] if keep else []
    assert main(["download", str(data), "--record", server.record, *options]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert all(words in error for words in (f"{needed} GB", "10.0 GB", str(data)))
    assert server.files_asked() == []


def test_a_disk_that_fills_up(
    server: Any, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "unpack_audio", full)
    assert main(["download", str(data), "--record", server.record]) == 1
    assert re.match(rf"error: .*{data}.* full", capsys.readouterr().err.splitlines()[-1])


@pytest.mark.parametrize("name", ["annotations.csv", "audio-0.tar.gz"])
def test_a_file_of_somebody_else_is_not_overwritten(server: Any, data: Path, name: str) -> None:
    data.mkdir()
    (data / name).write_text("mine")
    with pytest.raises(ValueError, match=name):
        download(data, record=server.record)
    assert (data / name).read_text() == "mine"


def test_files_put_there_by_hand_are_used(server: Any, data: Path) -> None:
    data.mkdir()
    for name in ("annotations.csv", "audio-0.tar.gz"):
        shutil.copy(server.folder / name, data)
    download(data, record=server.record)
    assert server.files_asked() == ["dcase-ust-taxonomy.yaml", "audio-10.tar.gz"]
    server.assert_complete(data)


def test_a_folder_that_is_a_file_and_a_memory_that_is_none(server: Any, data: Path) -> None:
    data.touch()
    with pytest.raises(ValueError, match=str(data)):
        download(data, record=server.record)
    data.unlink()
    data.mkdir()
    for text in ("{", "[]", '{"record": "", "files": [{}], "done": {}}', '{"record": "", "files": [], "done": 3}'):
        (data / ".download.json").write_text(text)
        with pytest.raises(ValueError, match=r"\.download\.json"):
            download(data, record=server.record)


def test_stopped_by_hand(
    server: Any, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fetch", stop)
    assert main(["download", str(data), "--record", server.record]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_an_archive_that_a_killed_call_had_only_to_delete(
    server: Any, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def killed(path: Path, **options: Any) -> None:
        if path.name.endswith(".tar.gz"):
            raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            download(data, record=server.record)
    assert list(data.glob("*.tar.gz"))
    download(data, record=server.record)
    assert not list(data.glob("*.tar.gz"))
