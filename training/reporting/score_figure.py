"""A figure of the scores of several rows: every row on every task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from training.reporting.figures import GREY, plain, save
from training.reporting.seed_statistics import Mean

_COLOUR = "#0072B2"  # colour-blind safe, after Okabe and Ito


def score_figure(means: Mapping[str, Mapping[str, Mean]], titles: Mapping[str, str], stem: Path) -> Path:
    """Draw one panel per measure, and in each a point with its interval per row, the first row on top.

    Args:
        means: by row, as printed, and measure.
        titles: printed name of each measure.
        stem: path of the files without their endings.

    Returns:
        The PNG file; the PDF is next to it.
    """
    columns = min(3, len(titles))
    lines = -(-len(titles) // columns)
    size = (2.4 * columns + 1.8, (0.26 * len(means) + 0.7) * lines)
    figure = Figure(figsize=size, layout="constrained")
    places = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    heights = range(len(means), 0, -1)
    for axes, (measure, title) in zip(places, titles.items(), strict=False):
        found = [of[measure] for of in means.values()]
        axes.errorbar(
            [m.value for m in found],
            heights,
            xerr=[m.ci_half_width or 0.0 for m in found],
            color=_COLOUR,
            fmt="o",
            markersize=4,
            linewidth=1.2,
        )
        axes.set_title(title, fontsize=9)
        axes.set_yticks(heights, list(means))
        axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.6)
        plain(axes)
    for axes in places[len(titles) :]:
        axes.set_axis_off()
    return save(figure, stem)[0]
