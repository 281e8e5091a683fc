"""`python -m hear_multiview info`: what a checkpoint's card says, read back from the text."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hear_multiview
from hear_multiview import checkpoint, hub
from hear_multiview.__main__ import COMMANDS, main
from hear_multiview.api import BUNDLED
from hear_multiview.encoders import make_encoder
from hear_multiview.recordings.info import SCENES, describe
from tests.hear_multiview.codec_checkpoint import saved_checkpoint


def lines(text: str) -> dict[str, str]:
    """The properties by name; names are followed by at least two spaces."""
    return {name: value.strip() for name, _, value in (line.partition("  ") for line in text.splitlines())}


def test_the_bundled_checkpoint_is_described_without_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    said = lines(capsys.readouterr().out)
    card = checkpoint.load(BUNDLED).card
    assert said["sha256"] == hashlib.sha256(BUNDLED.read_bytes()).hexdigest()
    assert card["frontend"]["name"] in said["front end"]
    assert card["frontend"]["sha256"] in said["front end"]
    assert str(card["frontend"]["sample_rate"]) in said["sample rate"]
    assert card["data"] in said["trained on"]
    assert "sensors" not in said, "sensors are drawn in training; what the split divides are groups"
    assert f"{card['metrics']['valid']['total']:.4f}" in said["metrics"]
    for package, version in card["versions"].items():
        assert f"{package} {version}" in said["versions"]
    for view in card["views"]:
        model = hear_multiview.load_model(view=view)
        assert f"{view} [{model.timestamp_embedding_size}]" in said["views"].split(", ")
        pooled = next(line for line in said["scenes"].split("; ") if f"{view} [{model.scene_embedding_size}]" in line)
        pools = set(model.pools.values())
        assert len(pools) > 1 or pooled.endswith(f": {SCENES[pools.pop()]}")


def test_parts_that_are_pooled_in_two_ways(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "kind": "patches",
        "dim": 64,
        "private": 3,
        "shared": 5,
        "width": 4,
        "shared_pool": "mean",
    }
    tensors = {f"encoder.{name}": tensor for name, tensor in make_encoder(**settings).state_dict().items()}
    card = {**checkpoint.load(BUNDLED).card, "encoder": settings, "views": ["joint", "private", "shared", "frontend"]}
    checkpoint.save(tmp_path / "x.safetensors", tensors, card)
    both, private, means = lines(describe(tmp_path / "x.safetensors"))["scenes"].split("; ")
    assert both.startswith("joint [11]: ")
    assert private == f"private [6]: {SCENES['statistics']}"
    assert means == f"shared [5], frontend [64]: {SCENES['mean']}"


def test_a_checkpoint_may_be_a_path_or_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "checkpoint.safetensors"
    copy.write_bytes(BUNDLED.read_bytes())
    monkeypatch.setattr(hub, "_fetch", {"org/name": copy}.__getitem__)
    for address in (copy, "hf://org/name"):
        said = lines(describe(address))
        assert said.pop("checkpoint") == str(address)
        expected = lines(describe())
        del expected["checkpoint"]
        assert said == expected


def test_a_card_with_no_more_than_a_checkpoint_needs_can_be_shown(tmp_path: Path) -> None:
    saved = checkpoint.load(BUNDLED)
    front = {key: saved.card["frontend"][key] for key in ("name", "sha256")}
    card = {"frontend": front, "encoder": saved.card["encoder"], "views": saved.card["views"]}
    checkpoint.save(tmp_path / "x.safetensors", saved.tensors, card)
    said = lines(describe(tmp_path / "x.safetensors"))
    assert front["name"] in said["front end"]
    assert said["views"].split(", ")[-1] == "frontend"  # of a size that nobody says
    assert "metrics" not in said


def test_the_scenes_of_an_encoder_that_takes_the_mean_have_the_size_of_its_frames(tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path)
    said = lines(describe(path))
    for view in ("joint", "private", "shared"):
        model = hear_multiview.load_model(path, view=view)
        assert model.scene_embedding_size == model.timestamp_embedding_size
        assert f"{view} [{model.scene_embedding_size}]" in said["views"].split(", ")
        assert f"{view} [{model.scene_embedding_size}]" in said["scenes"]
    assert said["scenes"].endswith(f": {SCENES['mean']}")
    assert SCENES["statistics"] not in said["scenes"]


def test_another_file_is_one_sentence_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.txt").write_text("hello")
    for name in ("x.txt", "missing"):
        assert main(["info", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert name in error
        assert error.count("\n") == 1


def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said and command.summary in said for name, command in COMMANDS.items())


def test_help_imports_no_library() -> None:
    """torch alone takes a second, numpy and soundfile a quarter of one."""
    code = """
import sys
from hear_multiview.__main__ import main
try:
    main(["embed", "--help"])
except SystemExit:
    print(sorted({"torch", "numpy", "soundfile", "tqdm"} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
