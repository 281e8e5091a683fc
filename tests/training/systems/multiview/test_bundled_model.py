"""The card of the bundled model: of the files beside it, with the scores of no other model."""

from __future__ import annotations

from pathlib import Path

import pytest

from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.files import file_digest
from training.systems.multiview import bundled_model
from training.systems.multiview.bundled_model import SCORES, model_card


def test_the_card_in_the_package_is_of_its_files() -> None:
    text = (BUNDLED.parent / "README.md").read_text(encoding="utf-8")
    assert text == model_card()
    assert SCORES.read_text(encoding="utf-8").startswith(f"{file_digest(BUNDLED)}\n")
    assert "| log-mel" in text


def test_a_model_that_was_not_measured_has_no_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = checkpoint.load(BUNDLED)
    other = {name: tensor + 1 for name, tensor in saved.tensors.items()}
    checkpoint.save(tmp_path / "multiview.safetensors", other, {k: v for k, v in saved.card.items() if k != "format"})
    monkeypatch.setattr(bundled_model, "BUNDLED", tmp_path / "multiview.safetensors")
    text = model_card()
    assert file_digest(tmp_path / "multiview.safetensors") in text
    assert "| log-mel" not in text
