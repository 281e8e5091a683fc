"""Transfers from a local server: broken off, continued, sent again, refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.__main__ import main
from sonyc_tasks.dataset.download import http as transfer
from sonyc_tasks.dataset.download.zenodo import download


def test_a_broken_transfer_is_continued_in_the_same_call(server: Any, data: Path) -> None:
    server.cuts["audio-0.tar.gz"] = [5000, 0, 1000]
    download(data, record=server.record)
    assert [asked for name, asked in server.asked if name == "audio-0.tar.gz"] == [
        None,
        "bytes=5000-",
        "bytes=5000-",
        "bytes=6000-",
    ]
    server.assert_complete(data)


def test_a_connection_that_stays_broken_and_the_next_call(
    server: Any, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (server.folder / "audio-0.tar.gz").stat().st_size
    server.cuts["audio-0.tar.gz"] = [5000, 0, 0, 0]
    assert main(["download", str(data), "--record", server.record]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {server.address}/audio-0.tar.gz: ")
    assert "3 times" in error
    assert f"5000 of {size} bytes" in error
    assert (data / "audio-0.tar.gz.part").stat().st_size == 5000
    server.cuts.clear()
    server.asked.clear()
    download(data, record=server.record)
    assert server.asked == [("record.json", None), ("audio-0.tar.gz", "bytes=5000-"), ("audio-10.tar.gz", None)]
    server.assert_complete(data)


def test_a_server_without_ranges_sends_it_all_again(server: Any, data: Path) -> None:
    server.ranges = False
    server.cuts["audio-0.tar.gz"] = [5000]
    download(data, record=server.record)
    server.assert_complete(data)


def test_a_transfer_that_was_whole_but_not_moved_in(server: Any, data: Path) -> None:
    data.mkdir()
    shutil.copy(server.folder / "audio-0.tar.gz", data / "audio-0.tar.gz.part")
    download(data, record=server.record)
    assert "audio-0.tar.gz" not in server.files_asked()
    server.assert_complete(data)


def test_a_part_that_is_too_long_is_deleted(server: Any, data: Path) -> None:
    data.mkdir()
    part = data / "audio-0.tar.gz.part"
    part.write_bytes(bytes(100_000))
    with pytest.raises(ValueError, match=r"audio-0\.tar\.gz\.part.*\b\d+ bytes"):
        download(data, record=server.record)
    assert not part.exists()
    download(data, record=server.record)
    server.assert_complete(data)


def test_a_file_that_is_longer_or_shorter_than_the_record_says(server: Any, data: Path) -> None:
    size = (server.folder / "audio-0.tar.gz").stat().st_size
    server.write_record(audio_0={"size": size - 1})
    with pytest.raises(ValueError, match=r"audio-0\.tar\.gz\.part.*\b\d+ bytes"):
        download(data, record=server.record)
    server.write_record(audio_0={"size": size + 1})
    with pytest.raises(ValueError, match=r"audio-0\.tar\.gz\.part.*http://"):
        download(data, record=server.record)
    assert list(data.glob("audio*")) == []


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(
    server: Any, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = {"record.json": [503], "annotations.csv": [429, 500], "audio-0.tar.gz": [404]}
    assert main(["download", str(data), "--record", server.record]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {server.address}/audio-0.tar.gz ")
    assert "404 Not Found" in error
    assert server.files_asked().count("annotations.csv") == 3
    assert server.files_asked().count("audio-0.tar.gz") == 1


def test_a_server_asks_for_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    for asked in (0.0, 39.0, 9999.0):
        transfer._pause("x", 0, transfer._Dropped("429", asked), "")
    assert waited == [0.0, 39.0, 120.0]


def test_no_server(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", str(data), "--record", "http://127.0.0.1:1/record.json"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: http://127.0.0.1:1/record.json: ")
    assert "3 times" in err
    assert not data.exists()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "records/3966543"])
def test_only_the_web_is_read(data: Path, server: Any, url: str) -> None:
    with pytest.raises(ValueError, match=url):
        download(data, record=url)
    server.write_record(annotations={"links": {"self": url}})
    with pytest.raises(ValueError, match=url):
        download(data, record=server.record)
