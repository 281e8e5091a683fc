"""Downloads against a local server: whole, resumed, refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hear_multiview.frontends.dac.download import download


@pytest.fixture
def served(file_server: Any) -> tuple[bytes, str, Any]:
    folder, address, handler = file_server
    data = os.urandom(1_000_000)
    (folder / "w.bin").write_bytes(data)
    return data, f"{address}/w.bin", handler


def test_whole(served: tuple[bytes, str, Any], tmp_path: Path) -> None:
    data, url, _ = served
    download(url, tmp_path / "deep" / "w.bin", what="test")
    assert (tmp_path / "deep" / "w.bin").read_bytes() == data


def test_a_broken_transfer_is_continued_where_it_stopped(served: tuple[bytes, str, Any], tmp_path: Path) -> None:
    data, url, handler = served
    handler.cut_after = 400_000
    with pytest.raises(OSError, match="400000 of 1000000 bytes"):
        download(url, tmp_path / "w.bin", what="test")
    assert not (tmp_path / "w.bin").exists()
    download(url, tmp_path / "w.bin", what="test")
    assert (tmp_path / "w.bin").read_bytes() == data
    assert handler.requests == [None, "bytes=400000-"]


def test_a_part_that_is_too_long_is_thrown_away(served: tuple[bytes, str, Any], tmp_path: Path) -> None:
    data, url, _ = served
    (tmp_path / "w.bin.part").write_bytes(bytes(2_000_000))
    download(url, tmp_path / "w.bin", what="test")
    assert (tmp_path / "w.bin").read_bytes() == data


def test_not_found(served: tuple[bytes, str, Any], tmp_path: Path) -> None:
    _, url, _ = served
    with pytest.raises(OSError, match="404"):
        download(url + "x", tmp_path / "w.bin", what="test")
    assert list(tmp_path.glob("w.bin*")) == []
