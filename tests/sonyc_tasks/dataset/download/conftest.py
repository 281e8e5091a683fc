"""The record of a tiny data set on a local server, for the tests of its download, transfers and archives."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.dataset.download import http as transfer


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


def contents(root: Path) -> dict[str, bytes]:
    """Every file below ``root``: its path from there → its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


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

    def assert_complete(self, root: Path, kept: tuple[str, ...] = ()) -> None:
        """``root`` holds the whole data set, the files of the record named in ``kept``, and nothing else."""
        there = contents(root)
        del there[".download.json"]
        for name in ("dcase-ust-taxonomy.yaml", *kept):
            assert there.pop(name) == (self.folder / name).read_bytes()
        assert there == contents(self.folder.parent / "source")


@pytest.fixture
def server(tmp_path: Path, write_dataset: Any) -> Iterator[Server]:
    """Six clips of two sensors in two archives with different top folders, the csv, the taxonomy and their record."""
    folder = tmp_path / "served"
    folder.mkdir()
    source = write_dataset(tmp_path / "source", {1: 3, 2: 3})
    clips = sorted((source / "audio").iterdir())
    shutil.copy(source / "annotations.csv", folder)
    (folder / "dcase-ust-taxonomy.yaml").write_text("coarse: {}\n")
    top = tarfile.TarInfo("audio")
    top.type = tarfile.DIRTYPE
    first = {f"audio/{path.name}": path.read_bytes() for path in clips[:3]}
    junk = {"audio/._01_000001.wav": b"x", "audio/README": b"x", "audio": top}
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


@pytest.fixture(name="tar")
def tar_fixture() -> Callable[..., Path]:
    return tar


@pytest.fixture(name="contents")
def contents_fixture() -> Callable[[Path], dict[str, bytes]]:
    return contents


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
