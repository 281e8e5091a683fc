"""A local record in Zenodo's format, served by byte range from a process of its own."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import _RangeHandler


@contextmanager
def served(data: Path, folder: Path) -> Iterator[str]:
    """The address of a record with ``data``, a data set, as archives in ``folder``."""
    folder.mkdir()
    names = ["annotations.csv", "audio-0.tar.gz", "audio-1.tar.gz"]
    (folder / names[0]).write_bytes((data / "annotations.csv").read_bytes())
    clips = sorted((data / "audio").iterdir())
    for number, name in enumerate(names[1:]):
        with tarfile.open(folder / name, "w:gz") as archive:
            for clip in clips[number::2][:12]:
                archive.add(clip, f"audio/{clip.name}")
    handler: Any = type("Handler", (_RangeHandler,), {"requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    address = f"http://127.0.0.1:{server.server_port}"
    files = [
        {
            "key": name,
            "size": (folder / name).stat().st_size,
            "checksum": f"md5:{hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()}",
            "links": {"self": f"{address}/{name}"},
        }
        for name in names
    ]
    (folder / "record").write_text(json.dumps({"files": files}))
    # A process, as the fork of a process with threads may find locks that nobody will ever release.
    serving = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"{address}/record"
    finally:
        serving.kill()
        serving.join()
        server.server_close()
