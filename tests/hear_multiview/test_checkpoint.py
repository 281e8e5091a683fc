"""Checkpoints come back as they went, and nothing else passes for one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hear_multiview import checkpoint
from hear_multiview.encoders.private_shared import PrivateSharedEncoder
from sonyc_tasks import files

CARD: dict[str, Any] = {
    "frontend": {"name": "demo", "sha256": "0" * 64},
    "encoder": {"dim": 4, "width": 8, "depth": 1},
    "views": ["joint", "private", "shared", "frontend"],
    "note": "ü",
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    encoder = PrivateSharedEncoder(dim=4, width=8, depth=1)
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    path = tmp_path / "deep" / "c.safetensors"
    checkpoint.save(path, tensors, CARD)
    return path


def test_round_trip(saved: Path) -> None:
    loaded = checkpoint.load(saved)
    assert loaded.card == {"format": 1, **CARD}
    for name, tensor in loaded.encoder().state_dict().items():
        assert torch.equal(tensor, loaded.tensors[f"encoder.{name}"])


def test_saving_leaves_only_the_file(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == ["c.safetensors"]


def test_a_failed_save_leaves_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(saved, {"x": torch.zeros(1)}, {"card": object()})
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["c.safetensors"]


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        checkpoint.load(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("content", [b"hello", b"\x10" + bytes(100)])
def test_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.safetensors .*checkpoint"):
        checkpoint.load(path)


def test_someone_elses_safetensors(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors .*checkpoint"):
        checkpoint.load(tmp_path / "x.safetensors")


def test_truncated(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"c\.safetensors is cut short"):
        checkpoint.load(saved)


@pytest.mark.parametrize("card", ["null", "[]", "1", "{"])
def test_a_card_that_is_none(tmp_path: Path, card: str) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"hear_multiview": card})
    with pytest.raises(ValueError, match=r"x\.safetensors .*checkpoint"):
        checkpoint.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "change",
    [{"frontend": {}}, {"encoder": {"dim": 6, "width": 8, "depth": 1}}, {"encoder": {"size": 4}}, {"encoder": 1}],
)
def test_parts_that_do_not_fit(saved: Path, change: dict[str, Any]) -> None:
    checkpoint.save(saved, checkpoint.load(saved).tensors, {**CARD, **change})
    with pytest.raises(ValueError, match=r"c\.safetensors is damaged \(.*\)"):
        checkpoint.load(saved)


def test_others_may_read_it(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o644


def test_a_format_from_the_future(tmp_path: Path) -> None:
    header = {"hear_multiview": json.dumps({"format": 99})}
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata=header)
    with pytest.raises(ValueError, match=r"x\.safetensors.* 99"):
        checkpoint.load(tmp_path / "x.safetensors")


def test_a_codec_file_is_recognised(official_codec_file: Path) -> None:
    with pytest.raises(ValueError, match=r"descript-audio-codec.*frontend_weights"):
        checkpoint.load(official_codec_file)


def test_nothing_is_written_beside_the_temporary_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors' own writer makes another one, which nobody removes when the process is killed."""
    seen: set[str] = set()
    same: list[bool] = []
    make, replace = files._locked_file, os.replace
    made: list[tuple[Path, int]] = []

    def noting(path: Path) -> tuple[Path, int]:
        made.append(make(path))
        return made[-1]

    def looking(one: Path, other: Path) -> None:
        seen.update(path.name for path in saved.parent.iterdir())
        same.append(os.path.samestat(os.stat(one), os.fstat(made[-1][1])))
        replace(one, other)

    monkeypatch.setattr(files, "_locked_file", noting)
    monkeypatch.setattr(os, "replace", looking)
    checkpoint.save(saved, checkpoint.load(saved).tensors, CARD)
    assert same == [True]
    assert [name for name in seen if name != saved.name and not name.startswith(files.TEMPORARY)] == []
