"""Files that strangers made to do harm are refused before anything runs, grows, or is read or written outside."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from hear_multiview import checkpoint, weight_file
from hear_multiview.api import BUNDLED
from hear_multiview.encoders import patches, private_shared
from hear_multiview.frontends.dac.weights import read_dac
from sonyc_tasks.dataset.download import archives
from sonyc_tasks.launcher.embedding_record import task_digest
from sonyc_tasks.tasks.task_folder import Task, write_task
from sonyc_tasks.tasks.validate.task import errors_of, validate_task
from tests.hear_multiview.codec_checkpoint import saved_checkpoint
from training.systems.separated.separator import MaskSeparator, load_separator, save_separator


@pytest.fixture
def bundled() -> checkpoint.Checkpoint:
    return checkpoint.load(BUNDLED)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *[("mlp", change) for change in ({"width": 10**6}, {"depth": 10**6}, {"latent": 10**12}, {"dim": 2 * 10**9})],
        *[("patches", change) for change in ({"width": 10**6}, {"private": 10**12}, {"dim": 2 * 10**9})],
        *[("patches", change) for change in ({"private_frames": 10**9}, {"shared_frames": 10**9})],
    ],
)
def test_a_card_takes_no_memory_for_what_the_file_does_not_hold(
    kind: str,
    change: dict[str, int],
    tmp_path: Path,
    bundled: checkpoint.Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = bundled if kind == "patches" else checkpoint.load(saved_checkpoint(tmp_path))
    assert saved.encoder().arguments["kind"] == kind
    card = {**saved.card, "encoder": {**saved.card["encoder"], **change}}
    checkpoint.save(tmp_path / "x.safetensors", saved.tensors, card)
    made: list[str] = []

    class Counted(private_shared.Linear):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__(inputs, outputs)
            made.append(self.weight.device.type)

    for module in (private_shared, patches):
        monkeypatch.setattr(module, "Linear", Counted)
    with pytest.raises(ValueError, match=r"x\.safetensors"):
        checkpoint.load(tmp_path / "x.safetensors")
    assert set(made) == {"meta"}  # which takes no memory
    assert len(made) < len(saved.tensors)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite(value: float, tmp_path: Path, bundled: checkpoint.Checkpoint) -> None:
    name = next(name for name in bundled.tensors if name.endswith(".weight"))
    tensors = {name: tensor.clone() for name, tensor in bundled.tensors.items()}
    tensors[name].view(-1)[3] = value
    checkpoint.save(tmp_path / "x.safetensors", tensors, bundled.card)
    with pytest.raises(ValueError, match=rf"x\.safetensors.*{name.removeprefix('encoder.')}"):
        checkpoint.load(tmp_path / "x.safetensors")
    separator = MaskSeparator(2, 64, (2, 2), 4, 1, 1)
    next(separator.parameters()).data.fill_(value)
    save_separator(tmp_path / "y.safetensors", separator, {})
    with pytest.raises(ValueError, match=r"y\.safetensors"):
        load_separator(tmp_path / "y.safetensors")


def _codec(path: Path, spoil: Callable[[dict[str, Any]], None] = lambda state: None) -> Path:
    from dac.model import DAC

    codec = DAC(encoder_dim=2, decoder_dim=16, n_codebooks=1, codebook_size=4, codebook_dim=2)
    codec.save(str(path), package=False)
    stored = torch.load(path, weights_only=True)
    spoil(stored["state_dict"])
    torch.save(stored, path)
    return path


def test_a_codec_with_weights_that_are_not_finite(tmp_path: Path) -> None:
    path = _codec(tmp_path / "x.pth")
    assert read_dac(path, official=False).encoder
    path = _codec(path, lambda state: state[next(name for name in state if "encoder" in name)].fill_(torch.nan))
    with pytest.raises(ValueError, match=r"x\.pth"):
        read_dac(path, official=False)


def test_a_compressed_weight_file_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch stores parts as they are; compressed, kilobytes could unpack to gigabytes."""
    good, path = _codec(tmp_path / "good.pth"), tmp_path / "x.pth"
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    assert weight_file.compressed_part(good) is None
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match=r"x\.pth"):
        read_dac(path, official=False)


def test_a_tensor_for_another_model_is_named(tmp_path: Path, bundled: checkpoint.Checkpoint) -> None:
    tensors = {**bundled.tensors, "encoder.mean": torch.zeros(3)}
    text = json.dumps({**bundled.card, "format": 1})
    save_file({name: t.contiguous() for name, t in tensors.items()}, tmp_path / "x.st", {"hear_multiview": text})
    with pytest.raises(ValueError, match=r"x\.st.*mean"):
        checkpoint.load(tmp_path / "x.st")


def test_an_archive_that_grows_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(20_000), 8000)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "silence.wav", "silence.wav")
    assert archives.unpack_audio(tmp_path / "x.tar.gz", tmp_path / "small")  # whatever is small may
    monkeypatch.setattr(archives, "_SMALL", 1000)
    monkeypatch.setattr(archives, "_MAX_GROWTH", 10)
    with pytest.raises(ValueError, match=r"x\.tar\.gz"):
        archives.unpack_audio(tmp_path / "x.tar.gz", tmp_path / "audio")
    assert not any((tmp_path / "audio").iterdir())


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task folder of two classes, at 8 kHz."""
    return _write(tmp_path, "pets", tmp_path / "tasks")


def _write(tmp_path: Path, name: str, tasks: Path) -> Path:
    splits = {split: {f"{split}{k}.wav": [label] for k, label in enumerate(("dog", "cat"))} for split in SPLITS}
    sources = {}
    for number, clip in enumerate(clip for clips in splits.values() for clip in clips):
        sources[clip] = tmp_path / clip
        if not sources[clip].exists():
            soundfile.write(sources[clip], np.random.default_rng(number).uniform(-0.5, 0.5, 800), 8000)
    made = Task(name, ("dog", "cat"), splits, "multiclass", ("top1_acc",), 0.1)
    return write_task(made, sources, tasks, sample_rate=8000).folder


SPLITS = ("train", "valid", "test")
OUTSIDE = ("../outside", "../../outside", "a/../../outside", "..", "x\\..\\outside")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("place", ["split", "clip"])
def test_a_task_with_paths_that_leave_it(place: str, name: str, task: Path) -> None:
    for parent in (task.parent, task.parent.parent):
        (parent / "outside.json").write_text('{"secret.wav": ["dog"]}')
    if place == "split":
        metadata = json.loads((task / "task_metadata.json").read_text())
        spoilt = {**metadata, "split_mode": "presplit_kfold", "splits": ["train", "valid", "test", name]}
        (task / "task_metadata.json").write_text(json.dumps(spoilt))
    else:
        (task / "train.json").write_text(json.dumps({name + ".wav" * (name != ".."): ["dog"], "train1.wav": ["cat"]}))
    findings = errors_of(validate_task(task))
    assert any("outside" in finding or name in finding for finding in findings)
    assert not any("secret" in finding for finding in findings)
    with pytest.raises(ValueError, match=r"task_metadata\.json|train\.json") as caught:
        task_digest(task, 8000)
    assert "secret" not in str(caught.value)


def test_links_to_other_files_are_neither_read_nor_linked(task: Path, tmp_path: Path) -> None:
    secret, clip = tmp_path / "secret.wav", task / "8000" / "train" / "train0.wav"
    clip.rename(secret)
    clip.symlink_to(secret)
    assert any("train0.wav" in finding for finding in errors_of(validate_task(task)))
    again = _write(tmp_path, "again", task.parent)  # the same audio, which is linked where it can be
    other = again / "8000" / "train" / "train0.wav"
    assert not other.is_symlink()
    assert not other.samefile(secret)
