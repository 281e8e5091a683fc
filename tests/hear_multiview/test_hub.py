"""Checkpoints by ``hf://`` address, against a local server that answers huggingface_hub as the Hub does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.encoders.private_shared import PrivateSharedEncoder
from hear_multiview.frontends import load_frontend
from hear_multiview.hub import FILE, local

Run = Callable[..., subprocess.CompletedProcess[str]]
REPO = "me/urban"


def failure(address: str) -> str:
    """The message, which is one sentence."""
    with pytest.raises(ValueError, match=r".") as raised:
        local(address)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_path_stays_a_path() -> None:
    assert local("runs/hf/c.safetensors") == Path("runs/hf/c.safetensors")
    assert local(BUNDLED) == BUNDLED


@pytest.mark.parametrize("address", [f"hf://{REPO}", Path(f"hf://{REPO}"), f"hf://{REPO}@main"])
def test_an_address_is_the_file_in_the_library_s_own_cache(hub: Any, tmp_path: Path, address: str | Path) -> None:
    hub.commit(REPO, {FILE: b"some weights", "other.bin": b"not asked for"})
    path = local(address)
    assert path.read_bytes() == b"some weights"
    assert path.is_relative_to(tmp_path / "hf" / "hub" / "models--me--urban" / "snapshots")
    assert not any("other.bin" in request for request in hub.requests)


def test_a_revision_is_a_branch_a_branch_with_a_slash_or_a_commit(hub: Any) -> None:
    first = hub.commit(REPO, {FILE: b"first"})
    hub.commit(REPO, {FILE: b"second"})
    hub.commit(REPO, {FILE: b"a proposal"}, branch="refs/pr/1")
    assert local(f"hf://{REPO}").read_bytes() == b"second"
    assert local(f"hf://{REPO}@{first}").read_bytes() == b"first"
    assert local(f"hf://{REPO}@refs/pr/1").read_bytes() == b"a proposal"


def test_a_file_is_fetched_once_and_again_when_it_changes(hub: Any) -> None:
    for content in (b"first", b"first", b"second"):
        hub.commit(REPO, {FILE: content})
        assert local(f"hf://{REPO}").read_bytes() == content
    assert len([request for request in hub.requests if request.startswith("GET")]) == 2


def test_what_was_fetched_is_there_when_the_hub_is_not(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, {FILE: b"some weights"})
    local(f"hf://{REPO}")
    hub.stop()
    assert local(f"hf://{REPO}").read_bytes() == b"some weights"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert local(f"hf://{REPO}").read_bytes() == b"some weights"


@pytest.mark.parametrize(
    "address", ["urban", "me/urban/c.safetensors", "me/urban@", "me/urban@../x", "../urban", "me/ur ban", ""]
)
def test_an_address_that_is_none(address: str) -> None:
    message = failure(f"hf://{address}")
    assert message.startswith(f"hf://{address} ")
    assert "hf://org/name@revision" in message


def test_no_such_repository(hub: Any) -> None:
    message = failure("hf://me/nothing")
    assert all(fact in message for fact in ("me/nothing", hub.url, "private", "`hf auth login`", "HF_TOKEN"))


def test_a_private_repository_needs_the_token(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, {FILE: b"some weights"}, private=True)
    assert "private" in failure(f"hf://{REPO}")
    monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    assert local(f"hf://{REPO}").read_bytes() == b"some weights"


def test_a_gated_repository(hub: Any) -> None:
    hub.commit(REPO, {FILE: b""}, gated=True)
    message = failure(f"hf://{REPO}")
    assert all(fact in message for fact in (REPO, "gated", f"{hub.url}/{REPO}"))


def test_no_such_revision(hub: Any) -> None:
    hub.commit(REPO, {FILE: b""})
    message = failure(f"hf://{REPO}@v9")
    assert all(fact in message for fact in (REPO, "no revision v9"))


def test_no_checkpoint_in_the_repository(hub: Any) -> None:
    hub.commit(REPO, {"model.safetensors": b""})
    message = failure(f"hf://{REPO}")
    assert all(fact in message for fact in (REPO, f"no {FILE}", "training publish"))


def test_offline_and_not_in_the_cache(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = failure(f"hf://{REPO}@v1")
    assert message.startswith(f"{FILE} of {REPO}@v1 is not in the cache {tmp_path / 'hf' / 'hub'}")
    assert "HF_HUB_OFFLINE" in message
    assert not hub.requests


def test_nobody_answers(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits between its tries
    hub.stop()
    message = failure(f"hf://{REPO}")
    assert message.startswith(f"{FILE} of {REPO} is not in the cache ")
    assert hub.url in message


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = failure(f"hf://{REPO}")
    assert all(fact in message for fact in (f"hf://{REPO} ", "`pip install huggingface_hub`", FILE))


def test_a_file_that_is_no_checkpoint_is_refused(hub: Any) -> None:
    hub.commit(REPO, {FILE: b"no safetensors"})
    with pytest.raises(ValueError, match=r"models--me--urban.*checkpoint"):
        hear_multiview.load_model(f"hf://{REPO}")


def test_load_model_takes_an_address(hub: Any, noise: Callable[..., Tensor]) -> None:
    hub.commit(REPO, {FILE: BUNDLED.read_bytes()})
    model = hear_multiview.load_model(f"hf://{REPO}", view="private")
    expected = hear_multiview.load_model(view="private")
    audio = noise(1, 0.5)
    assert torch.equal(*(hear_multiview.get_scene_embeddings(audio, either) for either in (model, expected)))


def test_a_fresh_process_takes_all_from_the_environment(hub: Any, python: Run, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE, which the library reads at its import."""
    hub.commit(REPO, {FILE: b"some weights"})
    code = f"from hear_multiview import hub; print(hub.local('hf://{REPO}').read_text())"
    cache = tmp_path / "home" / "hub"
    where = {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache.parent), "HF_HUB_CACHE": str(cache), "HF_TOKEN": ""}
    for offline in "01":
        done = python("-c", code, cwd=tmp_path, HF_HUB_OFFLINE=offline, **where)
        assert done.stdout == "some weights\n", done.stderr
        hub.stop()
    assert (cache / "models--me--urban").is_dir()


def test_a_module_that_an_address_names_runs_only_if_the_caller_names_it_too(hub: Any, tmp_path: Path) -> None:
    name = "hear:hear_multiview.references.mel_statistics"
    front = load_frontend(name)
    card = {
        "frontend": {"name": name, "sha256": front.digest},
        "encoder": {"dim": front.dim, "width": 8, "depth": 1},
        "views": ["joint"],
    }
    encoder = PrivateSharedEncoder(front.dim, width=8, depth=1)
    tensors = {f"encoder.{key}": tensor for key, tensor in encoder.state_dict().items()}
    checkpoint.save(tmp_path / "c.safetensors", tensors, card)
    hub.commit(REPO, {FILE: (tmp_path / "c.safetensors").read_bytes()})
    with pytest.raises(ValueError, match=rf"{REPO}.* frontend='{name}'"):
        hear_multiview.load_model(f"hf://{REPO}")
    assert hear_multiview.load_model(f"hf://{REPO}", frontend=name).frontend.name == name
    assert hear_multiview.load_model(tmp_path / "c.safetensors").frontend.name == name
