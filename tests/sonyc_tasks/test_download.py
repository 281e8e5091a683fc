"""The data set's download against a local server with tiny archives: whole, broken, resumed, refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks import download as module
from sonyc_tasks import transfer
from sonyc_tasks.__main__ import main
from sonyc_tasks.annotations import read_clips
from sonyc_tasks.archives import unpack_audio
from sonyc_tasks.check import check
from sonyc_tasks.download import download, read_record

GB = 1_000_000_000


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0))


def tar(path: Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> Path:
    """A .tar.gz archive of files, given by their content, and of other members."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Server:
    """The record on a local server, what was asked of it, and ways to misbehave.

    ``asked``: (path, Range header) of each request. ``cuts``: path → bytes after which its next transfers break off.
    ``ranges``: whether the Range header is heeded. ``answers``: path → status of the next answers.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self.record = f"{address}/record.json"
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: dict[str, list[int]] = {}
        self.answers: dict[str, list[int]] = {}
        self.ranges = True

    def reply(self, request: BaseHTTPRequestHandler) -> None:
        name, span = request.path.strip("/"), request.headers.get("Range")
        self.asked.append((name, span))
        if self.answers.get(name):
            request.send_error(self.answers[name].pop(0))
            return
        body = (self.folder / name).read_bytes()
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.ranges else 0
        if start and start >= len(body):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        length = self.cuts[name].pop(0) if self.cuts.get(name) else len(body)
        request.wfile.write(body[start : start + length])

    def write_record(self, **wrong: Any) -> None:
        """Describe the folder's files as Zenodo does; ``wrong``: name (_ for the dot) → fields that are to differ."""
        entries = []
        for path in sorted(self.folder.iterdir()):
            if path.name != "record.json":
                content = path.read_bytes()
                entry: dict[str, Any] = {
                    "id": "0",
                    "key": path.name,
                    "size": len(content),
                    "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                    "links": {"self": f"{self.address}/{path.name}"},
                }
                entries.append(entry | wrong.get(path.name.split(".")[0].replace("-", "_"), {}))
        (self.folder / "record.json").write_text(json.dumps({"id": 3966543, "files": entries}))

    def files_asked(self) -> list[str]:
        return [name for name, _ in self.asked if name != "record.json"]


@pytest.fixture
def server(tmp_path: Path, write_dataset: Any) -> Iterator[Server]:
    """Six clips of two sensors in two archives with different top folders, the csv, the taxonomy and their record."""
    folder = tmp_path / "served"
    folder.mkdir()
    source = write_dataset(tmp_path / "source", {1: 3, 2: 3})
    clips = sorted((source / "audio").iterdir())
    shutil.copy(source / "annotations.csv", folder)
    (folder / "dcase-ust-taxonomy.yaml").write_text("coarse: {}\n")
    first = {f"audio/{path.name}": path.read_bytes() for path in clips[:3]}
    junk = {"audio/._01_000001.wav": b"x", "audio/README": b"x", "audio": special("audio", tarfile.DIRTYPE)}
    tar(folder / "audio-0.tar.gz", first | junk)
    tar(folder / "audio-10.tar.gz", {f"./audio-10/{path.name}": path.read_bytes() for path in clips[3:]})

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            served.reply(self)

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Server(folder, f"http://127.0.0.1:{http_server.server_port}")
    served.write_record()
    # The default, to look for the end only twice a second, would be most of the time of these tests.
    threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True).start()
    yield served
    http_server.shutdown()
    http_server.server_close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def assert_complete(root: Path, server: Server, kept: tuple[str, ...] = ()) -> None:
    source = contents(server.folder.parent / "source")
    there = contents(root)
    del there[".download.json"]
    for name in ("dcase-ust-taxonomy.yaml", *kept):
        assert there.pop(name) == (server.folder / name).read_bytes()
    assert there == source


# ---------------------------------------------------------------------------------------------------- the whole way


def test_download_check_read(server: Server, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", str(data), "--record", server.record]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"{data}: all 4 files of {server.record} are there",
        f"next: python -m sonyc_tasks check {data}",
    ]
    assert "fetching audio-10.tar.gz (4 of 4)" in captured.err
    assert "unpacking audio-0.tar.gz (3 of 4)" in captured.err
    assert "warning" not in captured.err
    assert_complete(data, server)
    assert server.files_asked() == [
        "annotations.csv",
        "dcase-ust-taxonomy.yaml",
        "audio-0.tar.gz",
        "audio-10.tar.gz",
    ]
    assert main(["check", str(data)]) == 0
    assert [clip.name for clip in read_clips(data)] == sorted(path.name for path in (data / "audio").iterdir())


def test_the_second_call_asks_for_nothing(server: Server, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(data, record=server.record)
    server.asked.clear()
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    assert main(["download", str(data), "--record", server.record]) == 0
    assert server.asked == []
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert f"{data}: all 4 files are there, nothing to fetch\n" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 1000)])
def test_what_check_finds_a_second_call_mends(server: Server, data: Path, damage: Callable[[Path], None]) -> None:
    download(data, record=server.record)
    damage(data / "audio" / "02_000005.wav")
    assert not check(data).sound
    server.asked.clear()
    download(data, record=server.record)
    assert server.files_asked() == ["audio-10.tar.gz"]
    assert check(data).sound
    assert_complete(data, server)


def test_archives_can_be_kept_and_are_used_again(server: Server, data: Path) -> None:
    assert main(["download", str(data), "--keep-archives", "--record", server.record]) == 0
    archives = ("audio-0.tar.gz", "audio-10.tar.gz")
    assert_complete(data, server, archives)
    (data / "audio" / "01_000001.wav").unlink()
    server.asked.clear()
    download(data, record=server.record, keep_archives=True)
    assert server.files_asked() == []
    assert_complete(data, server, archives)


# ------------------------------------------------------------------------------------------------------- transfers


def test_a_broken_transfer_is_continued_in_the_same_call(server: Server, data: Path) -> None:
    server.cuts["audio-0.tar.gz"] = [5000, 0, 1000]
    download(data, record=server.record)
    assert [asked for name, asked in server.asked if name == "audio-0.tar.gz"] == [
        None,
        "bytes=5000-",
        "bytes=5000-",
        "bytes=6000-",
    ]
    assert_complete(data, server)


def test_a_connection_that_stays_broken_and_the_next_call(
    server: Server, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (server.folder / "audio-0.tar.gz").stat().st_size
    server.cuts["audio-0.tar.gz"] = [5000, 0, 0, 0]
    assert main(["download", str(data), "--record", server.record]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {server.address}/audio-0.tar.gz: the connection broke 3 times in a row (the transfer ended after 5000 "
        f"of {size} bytes); run the command again, it goes on where it stopped"
    )
    assert (data / "audio-0.tar.gz.part").stat().st_size == 5000
    server.cuts.clear()
    server.asked.clear()
    download(data, record=server.record)
    assert server.asked == [("record.json", None), ("audio-0.tar.gz", "bytes=5000-"), ("audio-10.tar.gz", None)]
    assert_complete(data, server)


def test_a_server_without_ranges_sends_it_all_again(server: Server, data: Path) -> None:
    server.ranges = False
    server.cuts["audio-0.tar.gz"] = [5000]
    download(data, record=server.record)
    assert_complete(data, server)


def test_a_transfer_that_was_whole_but_not_moved_in(server: Server, data: Path) -> None:
    data.mkdir()
    shutil.copy(server.folder / "audio-0.tar.gz", data / "audio-0.tar.gz.part")
    download(data, record=server.record)
    assert "audio-0.tar.gz" not in server.files_asked()
    assert_complete(data, server)


def test_a_part_that_is_too_long_is_deleted(server: Server, data: Path) -> None:
    data.mkdir()
    part = data / "audio-0.tar.gz.part"
    part.write_bytes(bytes(100_000))
    with pytest.raises(ValueError, match=r"audio-0\.tar\.gz\.part is longer than the file's \d+ bytes and was deleted"):
        download(data, record=server.record)
    assert not part.exists()
    download(data, record=server.record)
    assert_complete(data, server)


def test_a_file_that_is_longer_or_shorter_than_the_record_says(server: Server, data: Path) -> None:
    size = (server.folder / "audio-0.tar.gz").stat().st_size
    server.write_record(audio_0={"size": size - 1})
    with pytest.raises(ValueError, match=r"is longer than the file's \d+ bytes and was deleted"):
        download(data, record=server.record)
    server.write_record(audio_0={"size": size + 1})
    with pytest.raises(ValueError, match=r"is longer than the file at http://.* and was deleted"):
        download(data, record=server.record)
    assert list(data.glob("audio*")) == []


def test_a_wrong_md5(server: Server, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.write_record(audio_0={"checksum": "md5:" + "0" * 32})
    assert main(["download", str(data), "--record", server.record]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {data / 'audio-0.tar.gz.part'} does not have the md5 that the record says, {'0' * 32}, and was "
        "deleted; run the command again"
    )
    assert list(data.glob("audio*")) == []
    server.write_record()
    download(data, record=server.record)
    assert_complete(data, server)


def test_a_wrong_beginning_is_found_by_the_md5(server: Server, data: Path) -> None:
    data.mkdir()
    (data / "audio-0.tar.gz.part").write_bytes(b"<html>")
    with pytest.raises(ValueError, match="does not have the md5"):
        download(data, record=server.record)


def test_a_wrong_md5_of_the_annotations_is_a_warning(
    server: Server, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.write_record(annotations={"checksum": "md5:" + "0" * 32})
    assert main(["download", str(data), "--record", server.record]) == 0
    err = capsys.readouterr().err
    md5 = hashlib.md5((server.folder / "annotations.csv").read_bytes()).hexdigest()
    assert f"warning: annotations.csv has md5 {md5}, where the record says {'0' * 32}; it is kept" in err
    assert_complete(data, server)
    assert main(["download", str(data), "--record", server.record]) == 0
    assert "warning" not in capsys.readouterr().err
    # The md5 that other lists of the record's files give is as good as the record's.
    monkeypatch.setattr(module, "_ANNOTATIONS_MD5", md5)
    assert main(["download", str(data.with_name("other")), "--record", server.record]) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(
    server: Server, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = {"record.json": [503], "annotations.csv": [429, 500], "audio-0.tar.gz": [404]}
    assert main(["download", str(data), "--record", server.record]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {server.address}/audio-0.tar.gz answers 404 Not Found; check the address of the record, or try again "
        "later"
    )
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
    assert err.startswith("error: http://127.0.0.1:1/record.json: the connection broke 3 times in a row (")
    assert err.endswith("; try again later\n")
    assert not data.exists()


# ------------------------------------------------------------------------------------------------------ the record


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("<html>", "does not answer with JSON"),
        ("[]", "does not list files with their sizes"),
        ('{"files": [{"key": "a"}]}', "does not list files with their sizes"),
        ('{"files": []}', r"lists no annotations\.csv"),
    ],
)
def test_a_record_that_is_none(server: Server, data: Path, answer: str, message: str) -> None:
    (server.folder / "record.json").write_text(answer)
    with pytest.raises(ValueError, match=message):
        download(data, record=server.record)
    assert not data.exists()


@pytest.mark.parametrize("name", ["../x.csv", "/x.csv", ".download.json", "a/b.csv", "a\\b.csv", ""])
def test_a_record_with_names_that_are_paths(server: Server, name: str) -> None:
    server.write_record(annotations={"key": name})
    with pytest.raises(ValueError, match="lists a file with the odd name"):
        read_record(server.record)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "records/3966543"])
def test_only_the_web_is_read(data: Path, server: Server, url: str) -> None:
    with pytest.raises(ValueError, match="is no address of a file on the web"):
        download(data, record=url)
    server.write_record(annotations={"links": {"self": url}})
    with pytest.raises(ValueError, match="is no address of a file on the web"):
        download(data, record=server.record)


def test_archives_come_in_order_of_their_numbers(server: Server) -> None:
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
    server: Server,
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
    assert capsys.readouterr().err == (
        f"error: the download needs {needed} GB and the disk of {data} has 10.0 GB free; make room, or name a "
        "folder on another disk\n"
    )
    assert server.files_asked() == []


def test_a_disk_that_fills_up(
    server: Server, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "unpack_audio", full)
    assert main(["download", str(data), "--record", server.record]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: the disk of {data} is full; make room and run the command again, it goes on from there"
    )


@pytest.mark.parametrize("name", ["annotations.csv", "audio-0.tar.gz"])
def test_a_file_of_somebody_else_is_not_overwritten(server: Server, data: Path, name: str) -> None:
    data.mkdir()
    (data / name).write_text("mine")
    with pytest.raises(ValueError, match="is not the record's file of that name; move it away"):
        download(data, record=server.record)
    assert (data / name).read_text() == "mine"


def test_files_put_there_by_hand_are_used(server: Server, data: Path) -> None:
    data.mkdir()
    for name in ("annotations.csv", "audio-0.tar.gz"):
        shutil.copy(server.folder / name, data)
    download(data, record=server.record)
    assert server.files_asked() == ["dcase-ust-taxonomy.yaml", "audio-10.tar.gz"]
    assert_complete(data, server)


def test_a_folder_that_is_a_file_and_a_memory_that_is_none(server: Server, data: Path) -> None:
    data.touch()
    with pytest.raises(ValueError, match="is a file; name a folder"):
        download(data, record=server.record)
    data.unlink()
    data.mkdir()
    for text in ("{", "[]", '{"record": "", "files": [{}], "done": {}}', '{"record": "", "files": [], "done": 3}'):
        (data / ".download.json").write_text(text)
        with pytest.raises(ValueError, match=r"\.download\.json cannot be understood; delete it"):
            download(data, record=server.record)


def test_stopped_by_hand(
    server: Server, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fetch", stop)
    assert main(["download", str(data), "--record", server.record]) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on from here\n"


# ------------------------------------------------------------------------------------------------------- unpacking


def test_unpacking_is_interrupted_and_done_again(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, moved = os.replace, []

    def fail_at_the_second(source: Path, target: Path) -> None:
        if Path(target).suffix == ".wav":
            moved.append(target)
            if len(moved) == 2:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            download(data, record=server.record)
    assert len(list((data / "audio").iterdir())) == 1
    killed = data / "audio" / ".unpacking"  # as a call leaves it that had no time to clean up
    killed.mkdir()
    (killed / "01_000001.wav").write_bytes(b"half")
    server.asked.clear()
    download(data, record=server.record)
    assert server.files_asked() == ["audio-10.tar.gz"]  # the archive that was there was used
    assert_complete(data, server)


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        ("../01_000009.wav", "leads out of its folder"),
        ("audio/../../01_000009.wav", "leads out of its folder"),
        ("..\\01_000009.wav", "leads out of its folder"),
        ("/tmp/01_000009.wav", "has an absolute name"),
        ("C:\\01_000009.wav", "has an absolute name"),
        (special("audio/01_000009.wav", tarfile.SYMTYPE, "/etc/hostname"), "is a link or a device"),
        (special("audio", tarfile.SYMTYPE, "/tmp"), "is a link or a device"),
        (special("01_000009.wav", tarfile.LNKTYPE, "../annotations.csv"), "is a link or a device"),
        (special("audio/01_000009.wav", tarfile.FIFOTYPE), "is a link or a device"),
        (special("audio/01_000009.wav", tarfile.CHRTYPE), "is a link or a device"),
    ],
)
def test_evil_members(server: Server, data: Path, member: Any, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = member if isinstance(member, str) else member.name
    tar(server.folder / "audio-0.tar.gz", {"audio/01_000001.wav": b"fine", name: b"evil" if name is member else member})
    server.write_record()
    around = contents(data.parent)
    assert main(["download", str(data), "--record", server.record]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {data / 'audio-0.tar.gz'}: the member {name!r} {fault}; do not use this archive, fetch another copy"
    )
    assert list((data / "audio").iterdir()) == []
    assert {path: content for path, content in contents(data.parent).items() if not path.startswith("data/")} == around


def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar.gz", {"x/a.wav": b"1", "y/a.wav": b"2"})
    with pytest.raises(ValueError, match=r"holds two files named a\.wav"):
        unpack_audio(archive, tmp_path / "audio")


def test_archives_that_are_none(tmp_path: Path) -> None:
    whole = tar(tmp_path / "whole.tar.gz", {f"{n}.wav": os.urandom(10_000) for n in range(5)}).read_bytes()
    archive = tmp_path / "a.tar.gz"
    for content in (b"", b"no archive", whole[:25_000], whole[:20_000] + bytes(1000) + whole[21_000:]):
        archive.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.tar\.gz is damaged \(.*\); delete it and fetch it again"):
            unpack_audio(archive, tmp_path / "audio")
    tar(archive, {"README": b"x"})
    with pytest.raises(ValueError, match="holds no audio files"):
        unpack_audio(archive, tmp_path / "audio")
    assert list((tmp_path / "audio").iterdir()) == []


def test_help_says_what_is_read_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["download", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "Reads the Zenodo record" in out
    assert "writes DIR/annotations.csv" in out
    assert "CC BY 4.0" in out
