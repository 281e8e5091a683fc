"""Figures as PNG and PDF, and the losses of training runs.

The same input gives the same bytes with the same libraries: no dates are written, and nothing is drawn by chance.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sonyc_tasks.files import write_atomic

GREY = "#57606a"
_DPI = 200
_RUN = re.compile(r"(?P<recipe>.+)-(?P<digest>[0-9a-f]{8})-seed\d+")


def training_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], stem: Path) -> list[Path]:
    """Draw the total loss over the epochs, one panel per recipe, one line per seed.

    Args:
        histories: by run folder ("<recipe>-<digest>-seed<k>"), one record per epoch: {"epoch": int, counted from 0,
            "train": {"total": float, …}, "valid": {…}}.
        stem: path of the files without their endings.

    Returns:
        The PNG and the PDF file.

    Raises:
        ValueError: there are no histories.
    """
    if not histories:
        raise ValueError("there are no training histories to draw; train a recipe first")
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


def plain(axes: Axes) -> None:
    """Leave out the upper and the right side of the frame, and make the numbers small."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.pdf, each whole or not at all, without a date and the program's name.

    Returns:
        The two paths.
    """
    unsaid = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    paths = []
    for form, metadata in unsaid.items():
        content = io.BytesIO()
        figure.savefig(content, format=form, dpi=_DPI, metadata=metadata)
        paths.append(stem.with_name(f"{stem.name}.{form}"))
        write_atomic(paths[-1], content.getvalue())
    return paths
