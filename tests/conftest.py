"""Fixtures that more than one room uses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor

#: Real clips, where a checkout of the project has them beside it. Nothing but tests that say so needs them.
REAL_CLIPS = Path(__file__).parents[2] / "shared" / "data" / "sonyc_sample"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real SONYC clips; the test is skipped, visibly, where it is absent."""
    if not REAL_CLIPS.is_dir():
        pytest.skip("needs the folder of real SONYC clips, which is not beside this checkout")
    return REAL_CLIPS


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
            env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", **environment},
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
