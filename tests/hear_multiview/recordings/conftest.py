"""Recordings of every kind, made by libsndfile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import hear_multiview
from hear_multiview.embedder import Embedder
from hear_multiview.recordings.table import Rows, Table, open_table, write_table

#: Writes a sound of some seconds: name, rate in Hz, channels, seconds, libsndfile's subtype (None is its own choice).
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def bundled() -> Embedder:
    return hear_multiview.load_model()


@pytest.fixture(scope="session", params=["bundled", "demo"])
def model(request: pytest.FixtureRequest) -> Embedder:
    """The bundled model, and a codec, which computes in chunks and sets each clip's loudness."""
    if request.param == "bundled":
        return hear_multiview.load_model()
    return hear_multiview.load_model(view="frontend", frontend=request.param)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def sound(
        name: str, rate: int = 44_100, channels: int = 1, seconds: float = 0.5, subtype: str | None = None
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([*name.encode()])
        frames = round(rate * seconds)
        tone = 0.1 * np.sin(2 * np.pi * rng.uniform(200, 2000) * np.arange(frames) / rate)
        samples = tone[:, None] + 0.03 * rng.standard_normal((frames, channels))
        soundfile.write(path, samples, rate, subtype=subtype)
        return path

    return sound


@pytest.fixture
def mixed(write: Write, tmp_path: Path) -> tuple[list[str], list[str]]:
    """A folder ``mixed`` with sound files and broken ones: the names of both, sorted."""
    sound = [
        write("mixed/a.wav", 8000, 1, subtype="PCM_U8"),
        write("mixed/b.wav", 96_000, 8, subtype="PCM_32"),
        write("mixed/c.flac", 48_000, 2, subtype="PCM_24"),
        write("mixed/deep/d.ogg", 44_100, 2),
        write("mixed/deep/e.mp3", 22_050, 1),
        write("mixed/deep/er/f.aiff", 192_000, 1, subtype="PCM_24"),
        write("mixed/deep/er/g.w64", 11_025, 3, subtype="DOUBLE"),
        write("mixed/h.wav", 44_100, 1, 0.1, subtype="FLOAT"),
    ]
    folder = tmp_path / "mixed"
    (folder / "cut.wav").write_bytes(sound[1].read_bytes()[:5000])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.mp3").write_text("no sound")
    soundfile.write(folder / "nan.wav", np.full(4000, np.nan), 8000, subtype="FLOAT")
    soundfile.write(folder / "tiny.wav", np.zeros(20), 8000)
    (folder / "notes.txt").write_text("not a recording")
    (folder / ".hidden.wav").write_text("nor this")
    broken = ["cut.wav", "empty.wav", "nan.wav", "text.mp3", "tiny.wav"]
    return sorted(str(path) for path in sound), sorted(str(folder / name) for name in broken)


@pytest.fixture
def make_table(tmp_path: Path) -> Callable[..., Table]:
    """``make_table(embeddings, paths, start=…, end=…, **metadata)``: a table on disk, opened."""

    def make(embeddings: np.ndarray, paths: list[str], start: float = 0.0, end: float = 0.5, **metadata: str) -> Table:
        file = tmp_path / "table.npy"
        span = np.array([start]), np.array([end])
        rows = [Rows(path, "0" * 64, *span, row[None]) for path, row in zip(paths, embeddings, strict=True)]
        made = {"model": "", "view": "joint", "kind": "file", **metadata}
        write_table(file, rows, total=len(paths), dim=embeddings.shape[1], metadata=made)
        return open_table(file)

    return make
