"""Figure 2: whole files, the same bytes twice, labels that do not lie on each other, and axes of what can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from training.systems.multiview import figures
from training.systems.multiview.figures import figure_2
from training.systems.multiview.tables import Point

POINTS = [
    Point("reconstruction", "rec", 0.61, (0.59, 0.63), 0.02, (0.0, 0.04)),
    Point("+ L_cos− sample", "cosine", 0.633, (0.61, 0.64), 0.04, (0.02, 0.05)),
    Point("+ L_cos+ batch", "cosine", 0.603, (0.58, 0.62), -0.02, None),
    Point("mask <$\\frac{> of 0.4", "mask", 0.594, None, 0.01, (-0.01, 0.03)),
]


def test_figure_2_is_whole_and_the_same_twice(tmp_path: Path) -> None:
    first, second = (figure_2(POINTS, POINTS[::-1], 0.583, 0.684, tmp_path / k / "figure_0.2") for k in "ab")
    for path, start in zip(first, (b"\x89PNG", b"%PDF-1."), strict=True):
        assert path.read_bytes().startswith(start)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_figure_2_without_intervals_and_without_points(tmp_path: Path) -> None:
    bare = [replace(point, overall_interval=None, delta_interval=None) for point in POINTS]
    assert len(figure_2(bare, [], 0.583, 0.684, tmp_path / "bare")) == 2


def test_an_interval_beside_its_value_is_drawn(tmp_path: Path) -> None:
    aside = replace(POINTS[0], overall_interval=(0.62, 0.63), delta_interval=(0.0, 0.01))
    figure_2([aside], [aside], 0.583, 0.684, tmp_path / "aside")


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
        assert sorted(text.get_text() for text in texts) == [point.label for point in near]
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
    assert {*(point.label for point in POINTS), "front end 0.583"} == names
    # The points of a group look alike, those of another do not.
    colours = [line.get_color() for line in figure.axes[0].lines if line.get_marker() in ("o", "s", "^")]
    assert [colours.index(colour) for colour in colours] == [0, 1, 1, 3]


def test_the_axes_show_what_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Point("wide", "rec", 0.9, (0.2, 1.6), -0.7, (-1.9, 0.5))
    figure = drawn(monkeypatch, [wide], [replace(wide, overall=0.0, delta=1.0)])
    for axes in figure.axes:
        assert axes.get_xlim()[0] >= 0
        assert axes.get_xlim()[1] <= 1
        assert axes.get_ylim()[0] >= -1
        assert axes.get_ylim()[1] <= 1
    bars = [bar for bar in figure.axes[0].collections if isinstance(bar, LineCollection)]
    across, up = (bar.get_segments()[0] for bar in bars)
    np.testing.assert_allclose(across, [[0.2, -0.7], [1.0, -0.7]])
    np.testing.assert_allclose(up, [[0.9, -1.0], [0.9, 0.5]])
