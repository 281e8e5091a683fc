"""The paper's Figure 2: what each half holds, against how good the whole embedding is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from training.reporting.figures import GREY, plain, save
from training.systems.multiview.tables import Point

#: Colour (distinct for colour-blind readers, after Okabe and Ito) and marker of each group, in order of appearance.
_STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#00795A", "^"), ("#B0578D", "D"), ("#7A6A00", "v")]
#: What a score and a difference of two scores can be.
_SCORES, _DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)
#: (distance in points, angle in degrees) of a label from its point, in order of preference: near, right, above.
_PLACES = [
    (distance, angle)
    for distance in (8.0, 16.0, 26.0, 38.0, 52.0)
    for angle in (30, -30, 150, -150, 0, 180, 90, -90, 60, -60, 120, -120)
]


def figure_2(
    source: Sequence[Point], sensor: Sequence[Point], front_source: float, front_sensor: float, stem: Path
) -> list[Path]:
    """Draw DSCΔ private against source Jaccard on the left, DSCΔ shared against sensor accuracy on the right.

    Args:
        source: points of the left panel.
        sensor: points of the right panel.
        front_source: source Jaccard of the front end alone, a vertical line.
        front_sensor: its sensor accuracy.
        stem: path of the files without their endings.

    Returns:
        The PNG and the PDF file.
    """
    source, sensor = ([_clipped(point) for point in points] for points in (source, sensor))
    groups = list(dict.fromkeys(point.group for point in (*source, *sensor)))
    styles = {group: _STYLES[k % len(_STYLES)] for k, group in enumerate(groups)}
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _scatter(left, source, front_source, styles)
    left.set_title("Source: what is sounding", fontsize=11, pad=18)
    left.set(xlabel="source Jaccard index, joint embedding", ylabel="DSCΔ private")
    _scatter(right, sensor, front_sensor, styles)
    right.set_title("Sensor: where it was recorded", fontsize=11, pad=18)
    right.set(xlabel="sensor accuracy, joint embedding", ylabel="DSCΔ shared")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=group)
        for group, (colour, marker) in styles.items()
    ]
    handles.append(Line2D([], [], color=GREY, linestyle="--", label="front end alone"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    # Labels are placed by the pixels that they cover, so the layout is made once, here, and then kept.
    FigureCanvasAgg(figure).draw()
    figure.set_layout_engine("none")
    _label(left, source, front_source, styles)
    _label(right, sensor, front_sensor, styles)
    return save(figure, stem)


def _clipped(point: Point) -> Point:
    """The point with its intervals cut off where no score can be: a t-interval knows of no limits."""

    def clip(interval: tuple[float, float] | None, limits: tuple[float, float]) -> tuple[float, float] | None:
        return None if interval is None else (max(interval[0], limits[0]), min(interval[1], limits[1]))

    return replace(
        point,
        overall_interval=clip(point.overall_interval, _SCORES),
        delta_interval=clip(point.delta_interval, _DIFFERENCES),
    )


def _scatter(axes: Axes, points: Sequence[Point], front: float, styles: dict[str, tuple[str, str]]) -> None:
    """Points with their bars, the front end's line with its name above the frame, and the line of no difference."""
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=1)
    axes.axvline(front, color=GREY, linewidth=1, linestyle="--", zorder=1)
    above = axes.get_xaxis_transform()
    axes.text(front, 1.01, f"front end {front:.3f}", ha="center", va="bottom", color=GREY, fontsize=8, transform=above)
    for point in points:
        colour, marker = styles[point.group]
        axes.errorbar(
            point.overall,
            point.delta,
            xerr=_bar(point.overall, point.overall_interval),
            yerr=_bar(point.delta, point.delta_interval),
            color=colour,
            ecolor=(colour, 0.4),
            marker=marker,
            markersize=7,
            markeredgecolor="white",
            markeredgewidth=0.7,
            elinewidth=1,
            zorder=3,
            clip_on=False,
        )
    axes.margins(0.12)
    axes.set_xlim(*np.clip(axes.get_xlim(), *_SCORES))
    axes.set_ylim(*np.clip(axes.get_ylim(), *_DIFFERENCES))
    plain(axes)


def _bar(value: float, interval: tuple[float, float] | None) -> list[list[float]] | None:
    # A bootstrap's interval may lie on one side of the value, and matplotlib takes no negative length.
    return None if interval is None else [[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]]


def _label(axes: Axes, points: Sequence[Point], front: float, styles: dict[str, tuple[str, str]]) -> None:
    """Write the label of each point next to it.

    Each takes the place where it covers least of the points, bars and labels that are there already, in square pixels;
    distance costs too, so that it rather covers a little of a bar than moves far away.
    """
    renderer = FigureCanvasAgg(axes.figure.figure).get_renderer()
    frame = axes.get_window_extent(renderer)
    taken = [box for point in points for box in _boxes(axes, point)]
    x, y = axes.transData.transform((front, 0))
    taken += [Bbox.from_extents(x - 1, frame.y0, x + 1, frame.y1), Bbox.from_extents(frame.x0, y - 1, frame.x1, y + 1)]
    for point in points:
        colour, _ = styles[point.group]
        texts = [_text(axes, point, distance, angle, colour) for distance, angle in _PLACES]
        for text in texts:
            text.update_positions(renderer)
        # Of the text alone, without its line to the point.
        boxes = [Text.get_window_extent(text, renderer) for text in texts]
        costs = [
            0.8 * distance + sum(_overlap(box, other) for other in taken) + 4 * _outside(box, frame)
            for box, (distance, _) in zip(boxes, _PLACES, strict=True)
        ]
        best = costs.index(min(costs))
        for index, text in enumerate(texts):
            if index != best:
                text.remove()
        taken.append(boxes[best].padded(1))


def _text(axes: Axes, point: Point, distance: float, angle: float, colour: str) -> Annotation:
    across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
    return axes.annotate(
        point.label,
        (point.overall, point.delta),
        (distance * across, distance * up),
        textcoords="offset points",
        ha="left" if across > 0.1 else "right" if across < -0.1 else "center",
        va="bottom" if up > 0.1 else "top" if up < -0.1 else "center",
        fontsize=8,
        color=colour,
        parse_math=False,
        zorder=4,
        arrowprops=line if distance > 10 else None,
    )


def _boxes(axes: Axes, point: Point) -> Iterator[Bbox]:
    """The pixels of a point and of its two bars."""
    x, y = axes.transData.transform((point.overall, point.delta))
    half = 4 * axes.figure.figure.dpi / 72
    yield Bbox.from_extents(x - half, y - half, x + half, y + half)
    if point.overall_interval is not None:
        ends = [axes.transData.transform((end, point.delta))[0] for end in point.overall_interval]
        yield Bbox.from_extents(ends[0], y - 1, ends[1], y + 1)
    if point.delta_interval is not None:
        ends = [axes.transData.transform((point.overall, end))[1] for end in point.delta_interval]
        yield Bbox.from_extents(x - 1, ends[0], x + 1, ends[1])


def _overlap(box: Bbox, other: Bbox) -> float:
    both = Bbox.intersection(box, other)
    return 0.0 if both is None else float(both.width * both.height)


def _outside(box: Bbox, frame: Bbox) -> float:
    return float(box.width * box.height) - _overlap(box, frame)
