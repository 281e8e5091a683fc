"""The figures: whole files of both forms, the same bytes twice, and names that do not lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image

from training.reporting import figures
from training.reporting.figures import Point, figure_2, training_curves

POINTS = [
    Point("multiview_rec", "rec", 0.61, (0.59, 0.63), 0.02, (0.0, 0.04)),
    Point("multiview_cosine_private_sample", "cosine", 0.633, (0.61, 0.64), 0.04, (0.02, 0.05)),
    Point("multiview_cosine_shared_batch", "cosine", 0.603, (0.58, 0.62), -0.02, None),
    Point("mask <$\\frac{> of 0.4", "mask", 0.594, None, 0.01, (-0.01, 0.03)),
]
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


def test_figure_2_is_whole_and_the_same_twice(tmp_path: Path) -> None:
    stem = tmp_path / "a" / "figure_0.2"
    first = figure_2(POINTS, POINTS[::-1], 0.583, 0.684, stem)
    assert_whole(first, stem)
    assert_same_bytes(first, figure_2(POINTS, POINTS[::-1], 0.583, 0.684, tmp_path / "b" / "figure_0.2"))


def test_figure_2_without_intervals_and_without_points(tmp_path: Path) -> None:
    bare = [replace(point, overall_interval=None, delta_interval=None) for point in POINTS]
    assert_whole(figure_2(bare, [], 0.583, 0.684, tmp_path / "bare"), tmp_path / "bare")


def test_an_interval_beside_its_value_is_drawn(tmp_path: Path) -> None:
    aside = replace(POINTS[0], overall_interval=(0.62, 0.63), delta_interval=(0.0, 0.01))
    figure_2([aside], [aside], 0.583, 0.684, tmp_path / "aside")


def test_a_group_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'other'"):
        figure_2([replace(POINTS[0], group="other")], [], 0.5, 0.5, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def drawn(monkeypatch: pytest.MonkeyPatch, source: Sequence[Point], sensor: Sequence[Point]) -> Figure:
    """The figure itself, as it is saved."""
    kept: list[Figure] = []
    monkeypatch.setattr(figures, "save", lambda figure, _stem: kept.append(figure))
    figure_2(source, sensor, 0.583, 0.684, Path("nowhere"))
    return kept[0]


def test_names_lie_apart_and_in_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    near = [
        Point(f"method {k}", "mask", 0.6 + 0.004 * a, (0.59, 0.61), 0.004 * b, (-0.01, 0.01))
        for k, (a, b) in enumerate(rng.normal(size=(9, 2)))
    ]
    figure = drawn(monkeypatch, near, near)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        texts = [text for text in axes.texts if isinstance(text, Annotation)]
        assert sorted(text.get_text() for text in texts) == [point.method for point in near]
        boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in texts]
        for k, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:k])
            assert axes.get_window_extent().padded(1).contains(box.x0, box.y0)


def test_points_and_the_front_end_stand_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(monkeypatch, POINTS, POINTS[:1])
    lines = [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in figure.axes[0].lines]
    marks = {(float(x[0]), float(y[0])) for x, y in lines if len(x) == 1}
    assert marks == {(point.overall, point.delta) for point in POINTS}
    assert any(np.array_equal(x, [0.583, 0.583]) for x, _ in lines)
    assert any(np.array_equal(y, [0, 0]) for _, y in lines)
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert len(legend) == 4
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {"rec", "private sample", "shared batch", POINTS[3].method, "front end 0.583"} == names


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
