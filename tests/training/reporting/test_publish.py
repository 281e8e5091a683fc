"""Publishing: the card's header and words, and the upload, against a local server that answers as the Hub does."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac import weights as codec_weights
from hear_multiview.hub import FILE
from sonyc_tasks.files import TEMPORARY
from training.__main__ import main
from training.reporting import publish as module
from training.reporting.model_card import published_card
from training.reporting.publish import publish

yaml = pytest.importorskip("yaml")  # huggingface_hub brings it
REPO = "me/urban"
#: What tells one card from another.
OFFICIAL_CODEC = "44.1 kHz"
NO_REAL_RECORDING = "real recording"
SMALL_CODEC = "small codec"


@pytest.fixture
def writer(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hub, with a token that may write."""
    monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    return hub


def card_with(**changes: Any) -> str:
    """The Markdown for the bundled checkpoint with other values in its card."""
    saved = checkpoint.load(BUNDLED)
    return published_card(checkpoint.Checkpoint(saved.tensors, {**saved.card, **changes}), "0" * 64, REPO)


def header(text: str) -> Any:
    _, front, _ = text.split("---\n", 2)
    return yaml.safe_load(front)


# The card


def test_the_header_is_what_the_hub_reads(tmp_path: Path) -> None:
    repocard = pytest.importorskip("huggingface_hub.repocard")
    publish(BUNDLED, REPO, dry_run=tmp_path / "out")
    data = repocard.ModelCard.load(tmp_path / "out" / "README.md").data
    assert (data.license, data.library_name) == ("mit", "hear_multiview")
    assert {"audio", "hear"} <= set(data.tags)


def test_the_card_says_what_the_checkpoint_s_own_card_says(tmp_path: Path) -> None:
    publish(BUNDLED, REPO, dry_run=tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    card = checkpoint.load(BUNDLED).card
    for fact in (
        'hear_multiview.load_model("hf://me/urban")',
        hashlib.sha256(BUNDLED.read_bytes()).hexdigest(),
        card["frontend"]["sha256"],
        card["data"],
        f"`{card['recipe']['name']}`",
        f"seed {card['seed']}",
        f"{card['metrics']['epoch'] + 1} of {card['recipe']['epochs']}",
        f" {card['metrics']['train']['total']:.4f} | ",
        f" {card['metrics']['valid']['total']:.4f} |",
        "; ".join(
            f"{part} {', '.join(map(str, card['split'][part])) or 'none'}" for part in ("train", "valid", "probe")
        ),
        f"torch {card['versions']['torch']}",
        OFFICIAL_CODEC,
        NO_REAL_RECORDING,
    ):
        assert fact in text
    assert SMALL_CODEC not in text


def test_the_small_codec_is_named_with_its_note() -> None:
    front = {**checkpoint.load(BUNDLED).card["frontend"], "name": "demo", "sha256": load_frontend("demo").digest}
    text = card_with(frontend=front)
    assert SMALL_CODEC in text
    assert codec_weights.bundle_note() in text
    assert OFFICIAL_CODEC in text


@pytest.mark.parametrize(
    ("method", "paper"),
    [("single_view", "2510.02500"), ("multiview_vae", "2411.02711"), ("designed_pairs", "")],
)
def test_only_a_method_of_a_paper_is_said_to_follow_one(method: str, paper: str) -> None:
    text = card_with(recipe={**checkpoint.load(BUNDLED).card["recipe"], "method": method})
    assert re.findall(r"arXiv ([\d.]+\d), whose method it follows", text) == ([paper] if paper else [])


@pytest.mark.parametrize(
    ("method", "sound", "private", "shared"),
    [
        ("multiview", "urban sound", "what is sounding", "where it was recorded"),
        ("designed_pairs", "urban sound", "what is sounding", "where it was recorded"),
        ("multiview_vae", "music sounds", "the frequency", "the timbre"),
    ],
)
def test_the_card_says_what_the_method_is_meant_for(method: str, sound: str, private: str, shared: str) -> None:
    text = card_with(recipe={**checkpoint.load(BUNDLED).card["recipe"], "method": method})
    assert f"embeddings of {sound}," in text
    assert f"private half, meant to capture {private}, and a shared half, meant to capture {shared}." in text
    assert ("urban" in text.replace(REPO, "")) == (sound == "urban sound")
    assert ("music" in header(text)["tags"]) == ("music" in sound)


@pytest.mark.parametrize(("method", "sound"), [("sampling", "sound"), ("separated", "sound scenes")])
def test_an_undivided_model_is_of_its_own_kind_of_sound(method: str, sound: str) -> None:
    text = card_with(recipe={**checkpoint.load(BUNDLED).card["recipe"], "method": method}, views=["joint", "frontend"])
    assert f"embeddings of {sound}, with one undivided latent" in text


def test_nothing_is_said_of_the_halves_of_an_unknown_method() -> None:
    text = card_with(recipe={**checkpoint.load(BUNDLED).card["recipe"], "method": "of another package"})
    assert "embeddings of sound, with a private half and a shared half." in text


def test_sensors_that_are_numbers_are_listed() -> None:
    assert "train 3, 1; valid 35, 36; probe none" in card_with(split={"train": [3, 1], "valid": [35, 36], "probe": []})


@pytest.mark.parametrize("data", ["generated: a mini-SONYC, {}", "mini-sonyc (generated): train sensors (0, 1)"])
def test_generated_data_leave_the_licence_of_the_code(data: str) -> None:
    text = card_with(data=data)
    assert header(text)["license"] == "mit"
    assert "Cartwright" not in text


@pytest.mark.parametrize("data", ["SONYC-UST-V2", "regenerated: train sensors (0, 1)"])
def test_real_recordings_have_the_licence_of_sonyc_and_its_authors(data: str) -> None:
    text = card_with(data=data)
    assert header(text)["license"] == "cc-by-4.0"
    assert "Cartwright et al." in text
    assert "CC BY 4.0" in text
    assert NO_REAL_RECORDING not in text


def test_the_official_codec_is_not_called_another_one() -> None:
    front = {**checkpoint.load(BUNDLED).card["frontend"], "name": "dac_44khz", "sha256": "1" * 64}
    text = card_with(frontend=front)
    assert OFFICIAL_CODEC not in text
    assert SMALL_CODEC not in text


def test_an_undivided_latent_has_no_halves() -> None:
    text = card_with(views=["joint", "frontend"])
    assert "undivided" in text
    assert "private half" not in text


def test_nothing_in_a_checkpoint_changes_the_header() -> None:
    recipe = {**checkpoint.load(BUNDLED).card["recipe"], "name": "x\n---\nlicense: other"}
    assert header(card_with(recipe=recipe, data="a\n---\nlicense: other\n---\n"))["license"] == "cc-by-4.0"


# The dry run


def test_a_dry_run_writes_two_files_and_talks_to_nobody(writer: Any, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    assert publish(BUNDLED, REPO, dry_run=out) == str(out)
    assert {path.name for path in out.iterdir()} == {FILE, "README.md"}
    assert (out / FILE).read_bytes() == BUNDLED.read_bytes()
    assert not writer.requests


def test_a_dry_run_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    publish(BUNDLED, REPO, dry_run=tmp_path / "out")
    with pytest.raises(ValueError, match=r"huggingface_hub.*--dry-run"):
        publish(BUNDLED, REPO)


def test_a_dry_run_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    for place in (tmp_path, tmp_path / "README.md"):
        with pytest.raises(ValueError, match="empty"):
            publish(BUNDLED, REPO, dry_run=place)
    assert (tmp_path / "README.md").read_text() == "mine"


# The upload


def test_published_and_loaded_again(writer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", str(BUNDLED), REPO]) == 0
    assert capsys.readouterr().out == (f'{writer.url}/{REPO}\nload it: hear_multiview.load_model("hf://{REPO}")\n')
    repo = writer.repos[REPO]
    files = repo["commits"][repo["refs"]["main"]]
    assert set(files) == {FILE, "README.md"}
    assert header(files["README.md"].decode())["library_name"] == "hear_multiview"
    assert len(repo["commits"]) == 2, "the empty repository, then both files at once"
    assert not repo["private"]
    assert (
        hear_multiview.load_model(f"hf://{REPO}").scene_embedding_size
        == hear_multiview.load_model().scene_embedding_size
    )


def test_published_again_it_is_another_commit_of_the_same_repository(writer: Any) -> None:
    writer.commit(REPO, {FILE: b"older", "notes.txt": b"kept"})
    publish(BUNDLED, REPO)
    repo = writer.repos[REPO]
    files = repo["commits"][repo["refs"]["main"]]
    assert files[FILE] == BUNDLED.read_bytes()
    assert files["notes.txt"] == b"kept"


def test_private(writer: Any) -> None:
    publish(BUNDLED, REPO, private=True)
    assert writer.repos[REPO]["private"]


def test_a_public_repository_gets_nothing_private(writer: Any) -> None:
    before = writer.commit(REPO, {"README.md": b"public"})
    with pytest.raises(ValueError, match=f"{REPO}.*public.*--private"):
        publish(BUNDLED, REPO, private=True)
    assert writer.repos[REPO]["refs"]["main"] == before


# What can be wrong


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says on stderr: one line, beside warnings and what libraries log."""
    assert main(["publish", *map(str, arguments)]) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    return line.removeprefix("error: ")


def test_without_a_token(hub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, BUNDLED, REPO)
    assert hub.url in message
    assert REPO in message
    assert "401" in message.replace(hub.url, "")
    assert "HF_TOKEN" in message
    assert not hub.repos


def test_offline(writer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = failure(capsys, BUNDLED, REPO)
    assert REPO in message
    assert "HF_HUB_OFFLINE" in message


def test_nobody_answers(writer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    writer.stop()
    monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits between its tries
    message = failure(capsys, BUNDLED, REPO)
    assert REPO in message
    assert writer.url in message


@pytest.mark.parametrize("name", ["urban", "me/urban/x", "hf://me/urban", "me/", ""])
def test_a_name_that_is_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, BUNDLED, name)
    assert repr(name) in message
    assert "org/name" in message


def test_what_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in failure(capsys, tmp_path / "nowhere", REPO)
    (tmp_path / "x").write_bytes(b"x")
    assert f"{tmp_path / 'x'} " in failure(capsys, tmp_path / "x", REPO)


def test_a_checkpoint_that_does_not_say_how_it_was_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = checkpoint.load(BUNDLED)
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, saved.tensors, {k: v for k, v in saved.card.items() if k not in ("format", "recipe")})
    message = failure(capsys, path, REPO)
    assert str(path) in message
    assert "'recipe'" in message
    assert "python -m training pretrain" in message


def test_a_dry_run_that_is_killed_leaves_its_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(new: Path, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(BUNDLED, REPO, dry_run=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{TEMPORARY}0123456789ab").write_text("half")
    publish(BUNDLED, REPO, dry_run=tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2
