"""Fixtures that more than one room uses."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

#: Real clips, where a checkout of the project has them beside it. Nothing but tests that say so needs them.
REAL_CLIPS = Path(__file__).parents[2] / "shared" / "data" / "sonyc_sample"

# Which product is the faster one is measured; tests, and the processes that they start, have to give the same bytes.
os.environ.setdefault("HEAR_MULTIVIEW_PRODUCT", "onednn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real SONYC clips; the test is skipped, visibly, where it is absent."""
    if not REAL_CLIPS.is_dir():
        pytest.skip("needs the folder of real SONYC clips, which is not beside this checkout")
    return REAL_CLIPS


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch computes on one thread, as in a process of a pool or a launch: sums in another order have other last
    digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def noise() -> Callable[..., Tensor]:
    """``noise(clips, seconds, seed=0)``: seeded noise at 44.1 kHz, each clip at another level, [clip, sample]."""

    def make(clips: int, seconds: float, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        level = 0.02 * (1 + torch.arange(clips, dtype=torch.float32))[:, None]
        return level * torch.randn(clips, round(seconds * 44_100), generator=generator)

    return make


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``python(*arguments, cwd=…)``: a fresh interpreter, as a user would start one; output captured as text."""

    def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "OMP_WAIT_POLICY": "PASSIVE", **environment},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def official_codec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the official 44.1 kHz codec's size and format, with seeded instead of trained weights."""
    from dac.model import DAC

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    DAC().save(str(path), package=False)
    return path


class _RangeHandler(SimpleHTTPRequestHandler):
    """Serves files by byte range, as release hosts do, and can cut a transfer short."""

    cut_after: int | None = None
    requests: list[str | None]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        type(self).requests.append(self.headers.get("Range"))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            self.send_error(416)
            return
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, type(self).cut_after = type(self).cut_after, None
        self.wfile.write(body if cut is None else body[:cut])


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[tuple[Path, str, type[_RangeHandler]]]:
    """A local HTTP server: (folder it serves, its address, its handler with ``cut_after`` and ``requests``)."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (_RangeHandler,), {"requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


class FakeHub(ThreadingHTTPServer):
    """As much of the Hugging Face Hub as its library asks for: repositories, commits, files, and refusals.

    Attributes:
        repos: by ``org/name``: ``private``, ``gated``, ``commits`` (id to files by name) and ``refs`` (branch to id).
        requests: method and path of every request.
    """

    TOKEN = "hf_letmein"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, dict[str, object]] = {}
        self.requests: list[str] = []

    def commit(self, repo: str, files: dict[str, bytes], branch: str = "main", **state: bool) -> str:
        """Put ``files`` on top of what ``branch`` of ``repo`` holds; the commit's id."""
        known = self.repos.setdefault(repo, {"private": False, "gated": False, "commits": {}, "refs": {}, **state})
        files = {**known["commits"].get(known["refs"].get(branch), {}), **files}  # type: ignore[attr-defined]
        oid = hashlib.sha1(repr((branch, sorted(files.items()))).encode()).hexdigest()
        known["commits"][oid], known["refs"][branch] = files, oid  # type: ignore[index]
        return oid

    def stop(self) -> None:
        """From now on nobody answers."""
        self.shutdown()
        self.server_close()


class _HubHandler(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        name = file[1] if file else self.path.removeprefix("/api/models/").split("?")[0]
        repo = self.server.repos.get(name)
        if repo is None or (repo["private"] and not self._trusted()):
            return self._answer(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if not file:
            return self._answer(200, body=json.dumps({"id": name, "private": repo["private"]}).encode())
        if repo["gated"]:
            return self._answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        commits, refs = repo["commits"], repo["refs"]
        oid = refs.get(file[2].replace("%2F", "/"), file[2])  # type: ignore[attr-defined]
        if oid not in commits:  # type: ignore[operator]
            return self._answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        body = commits[oid].get(file[3])  # type: ignore[index]
        if body is None:
            return self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": oid})
        self._answer(200, {"X-Repo-Commit": oid, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, body)

    def do_POST(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if not self._trusted():
            return self._answer(401, {"X-Error-Message": "Invalid username or password."})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.server.repos:
                return self._json({"url": f"{self.server.url}/{name}"}, 409)
            self.server.commit(name, {}, private=asked.get("private") is True or asked.get("visibility") == "private")
            return self._json({"url": f"{self.server.url}/{name}"})
        _, _, _, org, name, action, branch = self.path.split("/")
        if action == "preupload":
            files = json.loads(body)["files"]
            return self._json(
                {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]}
            )
        lines = [json.loads(line) for line in body.splitlines()]
        added = {v["path"]: base64.b64decode(v["content"]) for v in (x["value"] for x in lines if x["key"] == "file")}
        oid = self.server.commit(f"{org}/{name}", added, branch)
        self._json({"commitUrl": f"{self.server.url}/{org}/{name}/commit/{oid}", "commitOid": oid})

    def _trusted(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server.TOKEN}"

    def _json(self, content: object, status: int = 200) -> None:
        self._answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A local Hub, to which huggingface_hub in this process talks, with an empty cache in ``tmp_path``.

    The library reads its environment at import; what it made of it is replaced.
    """
    constants = pytest.importorskip("huggingface_hub.constants")
    server = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> Callable[[Path], AbstractContextManager[tuple[Callable[..., Any], list[dict[str, Any]]]]]:
    """``with chromium(folder) as (call, events)``: a browser without a window, with its profile in ``folder``.

    ``call(method, **parameters)`` is of its debugging protocol, ``events`` the list of its events so far. The test is
    skipped, visibly, where there is no browser.
    """
    return _chromium


@contextmanager
def _chromium(folder: Path) -> Iterator[tuple[Callable[..., Any], list[dict[str, Any]]]]:
    """``call(method, **parameters)`` of the browser's own debugging protocol, and the list of its events so far."""
    programs = [*filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))]
    if not programs:
        pytest.skip("needs a browser to open the page with: chromium, chromium-browser or google-chrome on the path")
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += f" --disable-component-update --disable-sync --remote-debugging-pipe --user-data-dir={folder}"
    # The browser reads its file 3 and writes its file 4; a message ends with a zero byte.
    shell = ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', programs[0], *options.split()]
    browser = subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    to, back = browser.stdin, browser.stdout
    assert to is not None
    assert back is not None
    late = threading.Timer(60, browser.kill)
    late.start()
    session: dict[str, str] = {}
    events: list[dict[str, Any]] = []

    def call(method: str, **parameters: Any) -> Any:
        to.write(json.dumps({"id": 1, "method": method, "params": parameters, **session}).encode() + b"\0")
        to.flush()
        while True:
            # At the end of the pipe this is empty, which JSON refuses.
            message = json.loads(b"".join(iter(lambda: back.read(1).strip(b"\0"), b"")))
            if "id" in message:
                assert "error" not in message, message
                return message["result"]
            events.append(message)

    try:
        target = call("Target.createTarget", url="about:blank")["targetId"]
        session["sessionId"] = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        yield call, events
    finally:
        to.close()  # this ends the browser
        browser.wait()
        late.cancel()
