"""The figures: whole files of both forms, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from training.reporting import figures
from training.reporting.figures import training_curves

HISTORY = [
    {"epoch": k, "train": {"total": 3.0 - k, "reconstruction": 3.0 - k}, "valid": {"total": 3.5}} for k in (0, 1)
]


def assert_whole(paths: Sequence[Path], stem: Path) -> None:
    """PNG and PDF, each readable, of a size to look at, and nothing beside them."""
    assert paths == [stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.pdf")]
    with Image.open(paths[0]) as image:
        image.load()
        assert image.width >= 600
        assert np.ptp(np.asarray(image.convert("L"))) > 200
    pdf = paths[1].read_bytes()
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert b"/CreationDate" not in pdf
    assert {path.name for path in stem.parent.iterdir()} == {path.name for path in paths}


def assert_same_bytes(first: Sequence[Path], second: Sequence[Path]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_curves(tmp_path: Path) -> None:
    names = [f"multiview_rec-0123abcd-seed{k}" for k in range(3)]
    names += ["multiview_rec-ffffffff-seed0", "a name of $another_kind", "demo-0123abcd-seed0"]
    histories = dict.fromkeys(names, HISTORY) | {"stopped-0123abcd-seed0": []}
    first = training_curves(histories, tmp_path / "a" / "curves")
    assert_whole(first, tmp_path / "a" / "curves")
    assert_same_bytes(first, training_curves(histories, tmp_path / "b" / "curves"))


def test_curves_have_a_panel_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, _stem: kept.append(figure))
    training_curves({f"{name}-0123abcd-seed{k}": HISTORY for name in "abcd" for k in (0, 1)}, tmp_path / "x")
    shown = [axes for axes in kept[0].axes if axes.axison]
    assert [axes.get_title() for axes in shown] == [f"{name} (2 seeds)" for name in "abcd"]
    for axes in shown:
        curves = [np.asarray(line.get_ydata()).tolist() for line in axes.lines if len(np.asarray(line.get_xdata())) > 1]
        assert curves == [[3.0, 2.0], [3.5, 3.5]] * 2


def test_no_histories(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="histories"):
        training_curves({}, tmp_path / "x")
