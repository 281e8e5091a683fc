"""What is no weight file is refused with its cause, and what a library reads passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hear_multiview import checkpoint, load_model
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac.weights import read_dac
from hear_multiview.weight_file import check

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 306823921\n"
FAULTS = {
    "pointer": (POINTER, "git lfs pull"),
    "page": (b"\n<!DOCTYPE HTML><html><body>404: Not Found</body></html>", "web page"),
    "answer": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
    "empty": (b"", "is empty"),
    "zeros": (bytes(4096), "zeros"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": checkpoint.load,
    "model": lambda path: load_model(str(path)),
    "codec": lambda path: read_dac(path, official=False),
    "official codec": lambda path: load_frontend("dac_44khz", path),
    "HEAR module": lambda path: load_frontend("hear:hear_multiview.references.mel_statistics", path),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_reader_of_weights_says_the_cause(tmp_path: Path, fault: str, reader: str) -> None:
    content, cause = FAULTS[fault]
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.bin .*{cause}"):
        READERS[reader](path)


@pytest.fixture(params=["safetensors", "torch"])
def whole(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"weights.{request.param}"
    tensors = {name: torch.randn(size) for name, size in (("a", 30), ("b", 5))}
    if request.param == "torch":
        torch.save(tensors, path)
    else:
        save_file(tensors, path, metadata={"note": "x"})
    return path


def test_any_cut_is_found(whole: Path) -> None:
    content = whole.read_bytes()
    check(whole)
    # Of a few bytes, nobody can say of what they are the beginning.
    for kept in range(9, len(content)):
        whole.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=r"weights.* cut short"):
            check(whole)


def test_what_the_libraries_read_passes(tmp_path: Path) -> None:
    empty, legacy = tmp_path / "empty.safetensors", tmp_path / "legacy.pth"
    save_file({}, empty)
    torch.save({"x": torch.zeros(3)}, legacy, _use_new_zipfile_serialization=False)
    assert load_file(empty) == {}
    for path in (empty, legacy):
        check(path)
