"""Training of the separator: it learns, resumes to the same end, and keeps its states."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from training.systems.separated import training as module
from training.systems.separated.separator import load_separator
from training.systems.separated.training import EPOCHS, STATES, SeparatorConfig, train_separator

TINY = SeparatorConfig(
    steps=32,
    takes=1,
    batch=2,
    seconds=0.25,
    network={"sources": 3, "n_fft": 256, "channels": [4, 6], "width": 16, "stacks": 1, "layers": 2},
)


@pytest.fixture(autouse=True)
def few_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKE_SECONDS", 0.5)
    monkeypatch.setattr(module, "HELD_OUT_TAKES", 1)
    monkeypatch.setattr(module, "VALIDATION", 8)


def test_an_interrupted_training_ends_like_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_separator(tmp_path / "whole", TINY)
    write, done = module.save_separator, []

    def stop(path: Path, *rest: object) -> None:
        done.append(path)
        if len(done) == 14:
            raise KeyboardInterrupt
        write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "save_separator", stop)
    with pytest.raises(KeyboardInterrupt):
        train_separator(tmp_path / "cut", TINY)
    monkeypatch.setattr(module, "save_separator", write)
    assert (tmp_path / "cut" / "state.pt").exists()
    cut = train_separator(tmp_path / "cut", TINY)
    assert not (tmp_path / "cut" / "state.pt").exists()
    audio = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    heard = []
    for name in STATES:
        (one, card), (other, _) = load_separator(whole[name]), load_separator(cut[name])
        assert card["state"] == name
        assert card["steps"] == STATES[name] * 2
        heard.append(one.separate(audio))
        assert torch.equal(heard[-1], other.separate(audio))
    assert not torch.equal(heard[0], heard[2])


def test_it_learns_and_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    config = replace(TINY, steps=160, learning_rate=1e-2)
    late = train_separator(tmp_path / "run", config)["late"]
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert len(history) == EPOCHS
    assert history[-1]["train"]["mixit"] < history[0]["train"]["mixit"] - 0.3
    written = late.stat().st_mtime_ns
    train_separator(tmp_path / "run", config)
    assert late.stat().st_mtime_ns == written


def test_impossible_settings_and_other_runs_are_refused(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"steps": 0, "seconds": 9.0, "learning_rate": float("nan"), "sparsity": -1}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=name):
            replace(TINY, **{name: value})
    (tmp_path / "settings.json").write_text(json.dumps({"steps": 5}))
    with pytest.raises(ValueError, match="steps"):
        train_separator(tmp_path, TINY)
