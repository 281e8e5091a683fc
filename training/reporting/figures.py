"""Figures of the results, as PNG and PDF: what each half holds beside how good the whole is, and the losses.

The same input gives the same bytes with the same libraries: no dates are written, and nothing is drawn by chance.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

#: Of each group of methods: its name in the legend, its colour (colour-blind safe, after Okabe and Ito), its marker.
_GROUPS = {
    "rec": ("reconstruction only", "#0072B2", "o"),
    "cosine": ("with a cosine term", "#D55E00", "s"),
    "mask": ("private half masked", "#00795A", "^"),
}
_GREY = "#57606a"
_DPI = 200
_RUN = re.compile(r"(?P<recipe>.+)-(?P<digest>[0-9a-f]{8})-seed\d+")


#: (distance in points, angle in degrees) of a name from its point, in order of preference: near, right, above.
_PLACES = [
    (distance, turn)
    for distance in (8.0, 16.0, 26.0, 38.0, 52.0)
    for turn in (30, -30, 150, -150, 0, 180, 90, -90, 60, -60, 120, -120)
]


@dataclass(frozen=True)
class Point:
    """One method in one panel of `figure_2`.

    Attributes:
        method: its name; of a recipe's name, what all recipes have in common is left out in the drawing.
        group: "rec", "cosine" or "mask".
        overall: score of the joint embedding, 0 to 1.
        overall_interval, delta_interval: (low, high), on the same scale as the value; None draws no bar.
        delta: score of the half that the panel is about, minus the other half's.
    """

    method: str
    group: str
    overall: float
    overall_interval: tuple[float, float] | None
    delta: float
    delta_interval: tuple[float, float] | None


def figure_2(
    source: Sequence[Point], sensor: Sequence[Point], front_source: float, front_sensor: float, stem: Path
) -> list[Path]:
    """The paper's Figure 2, as ``stem``.png and ``stem``.pdf: on the left DSCΔ private against source Jaccard, on the
    right DSCΔ shared against sensor accuracy, with the front end's own frames (``front_source``, ``front_sensor``)
    as a vertical line.

    Raises:
        ValueError: a point is of a group that there is not.
    """
    for point in (*source, *sensor):
        if point.group not in _GROUPS:
            raise ValueError(f"method {point.method}: unknown group {point.group!r}: choose of {', '.join(_GROUPS)}")
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _scatter(left, source, front_source)
    left.set_title("Source: what is sounding", fontsize=11, pad=18)
    left.set(xlabel="source Jaccard index, joint embedding", ylabel="DSCΔ private")
    _scatter(right, sensor, front_sensor)
    right.set_title("Sensor: where it sounds", fontsize=11, pad=18)
    right.set(xlabel="sensor accuracy, joint embedding", ylabel="DSCΔ shared")
    there = {point.group for point in (*source, *sensor)}
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=name)
        for group, (name, colour, marker) in _GROUPS.items()
        if group in there
    ]
    handles.append(Line2D([], [], color=_GREY, linestyle="--", label="front end alone"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    # Labels are placed by the pixels that they cover, so the layout is made once, here, and then kept.
    FigureCanvasAgg(figure).draw()
    figure.set_layout_engine("none")
    _label(left, source, front_source)
    _label(right, sensor, front_sensor)
    return save(figure, stem)


def training_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], stem: Path) -> list[Path]:
    """Total loss over the epochs, a panel a recipe, a line a seed, as ``stem``.png and ``stem``.pdf.

    Args:
        histories: by run folder ("<recipe>-<digest>-seed<k>"), a record an epoch: {"epoch": int, counted from 0,
            "train": {"total": float, …}, "valid": {…}}.
        stem: path of the files but for their endings.

    Raises:
        ValueError: there are no histories.
    """
    if not histories:
        raise ValueError("no training histories to draw: train a recipe first")
    panels: dict[tuple[str, str], list[Sequence[Mapping[str, Any]]]] = {}
    for name, history in histories.items():
        run = _RUN.fullmatch(name)
        panels.setdefault((run["recipe"], run["digest"]) if run else (name, ""), []).append(history)
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.2 * columns + 0.4, 2.3 * rows + 0.5), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    recipes = [recipe for recipe, _ in panels]
    for axes, ((recipe, digest), runs) in zip(places, panels.items(), strict=False):
        for history in runs:
            _losses(axes, history)
        # The digest is named only where it tells two panels apart.
        title = recipe if recipes.count(recipe) == 1 else f"{recipe}\n{digest}"
        seeds = f" ({len(runs)} seeds)" if len(runs) > 1 else ""
        axes.set_title(title + seeds, fontsize=8.5, parse_math=False)
        plain(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("total loss", fontsize=9)
    handles = [
        Line2D([], [], color="#D55E00", label="validation"),
        Line2D([], [], color="#0072B2", linestyle="--", label="training"),
        Line2D([], [], color="#D55E00", linestyle="", marker="o", markersize=4, label="kept epoch"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    return save(figure, stem)


def _losses(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    epochs = [record["epoch"] + 1 for record in history]
    for split, style, colour in (("train", "--", "#0072B2"), ("valid", "-", "#D55E00")):
        axes.plot(epochs, [record[split]["total"] for record in history], style, color=colour, linewidth=0.8)
    if history:
        best = min(history, key=lambda record: record["valid"]["total"])
        axes.plot(best["epoch"] + 1, best["valid"]["total"], "o", color="#D55E00", markersize=3)


def _scatter(axes: Axes, points: Sequence[Point], front: float) -> None:
    """Points with their bars, the front end's line with its name above the frame, and the line of no difference."""
    axes.axhline(0, color=_GREY, linewidth=0.6, zorder=1)
    axes.axvline(front, color=_GREY, linewidth=1, linestyle="--", zorder=1)
    above = axes.get_xaxis_transform()
    axes.text(front, 1.01, f"front end {front:.3f}", ha="center", va="bottom", color=_GREY, fontsize=8, transform=above)
    for point in points:
        _, colour, marker = _GROUPS[point.group]
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
        )
    axes.margins(0.12)
    plain(axes)


def _bar(value: float, interval: tuple[float, float] | None) -> list[list[float]] | None:
    # A bootstrap's interval may lie on one side of the value, and matplotlib takes no negative length.
    return None if interval is None else [[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]]


def _label(axes: Axes, points: Sequence[Point], front: float) -> None:
    """The name of each point beside it, where it covers least of the points, bars and names that are there already; a
    little of a bar rather than far away."""
    renderer = FigureCanvasAgg(axes.figure.figure).get_renderer()
    frame = axes.get_window_extent(renderer)
    taken = [box for point in points for box in _boxes(axes, point)]
    x, y = axes.transData.transform((front, 0))
    taken += [Bbox.from_extents(x - 1, frame.y0, x + 1, frame.y1), Bbox.from_extents(frame.x0, y - 1, frame.x1, y + 1)]
    for point in points:
        texts = [_text(axes, point, distance, turn) for distance, turn in _PLACES]
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


def _text(axes: Axes, point: Point, distance: float, turn: float) -> Annotation:
    across, up = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    colour = _GROUPS[point.group][1]
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
    return axes.annotate(
        _short(point.method),
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


def _short(method: str) -> str:
    """The name of a recipe as it stands in the drawing; other names stay as they are.

    >>> _short("multiview_cosine_private_sample"), _short("multiview_mask_0.4"), _short("multiview_rec")
    ('private sample', 'mask 0.4', 'rec')
    """
    return re.sub(r"^multiview_(cosine_)?", "", method).replace("_", " ") if method.startswith("multiview_") else method


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


def plain(axes: Axes) -> None:
    """Two of four sides of the frame, small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf, each whole or not at all, without the date and the name of the program."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    unsaid = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    for form, metadata in unsaid.items():
        content = io.BytesIO()
        figure.savefig(content, format=form, dpi=_DPI, metadata=metadata)
        path = stem.with_name(f"{stem.name}.{form}")
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content.getvalue())
        part.replace(path)
        paths.append(path)
    return paths
