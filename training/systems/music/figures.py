"""Figures of the music system: the ablation, mutual information by dimension, and latent traversals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.reporting.figures import plain, save
from training.reporting.seed_statistics import Mean
from training.systems.music.traversals import STEPS

#: Colour (colour-blind safe, after Okabe and Ito) and marker of each subspace.
_SUBSPACES = {"private": ("#D55E00", "s"), "shared": ("#0072B2", "o"), "joint": ("#57606a", "^")}
#: Greek letter of the weight, and name, of each loss term.
TERMS = {
    "mutual_information": ("α", "mutual information"),
    "total_correlation": ("β", "total correlation"),
    "dimension_wise_kl": ("γ", "dimension-wise KL"),
}


def dimension_names(count: int) -> list[str]:
    """Name the ``count`` dimensions of z_p ⊕ z_s: the private half, then the shared half."""
    return [f"{view} {k}" for view in ("private", "shared") for k in range(count // 2)]


def ablation_figure(
    accuracies: Mapping[str, Mapping[float, Mapping[str, Mapping[str, Mean]]]], chance: Mapping[str, float], stem: Path
) -> Path:
    """Draw accuracy against the weight of each term: one row per factor, one column per term, one line per subspace.

    Args:
        accuracies: means over seeds, by term, weight, subspace (private, shared, joint) and factor.
        chance: accuracy of guessing, by factor; drawn as a dashed line.
        stem: path of the files without their endings.

    Returns:
        The PNG file; the PDF is next to it.
    """
    figure = Figure(figsize=(3 * len(accuracies) + 0.6, 2.4 * len(chance) + 0.6), layout="constrained")
    places = figure.subplots(len(chance), len(accuracies), sharex=True, sharey=True, squeeze=False)
    for row, factor in zip(places, chance, strict=True):
        for axes, by_weight in zip(row, accuracies.values(), strict=True):
            for subspace, (colour, marker) in _SUBSPACES.items():
                means = [found[subspace][factor] for found in by_weight.values()]
                # Weights are equally spaced, because small ones would be too close together on a linear axis.
                axes.errorbar(
                    range(len(means)),
                    [m.value for m in means],
                    yerr=[m.ci_half_width or 0.0 for m in means],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linewidth=1.2,
                    label=subspace,
                )
            axes.axhline(chance[factor], color="#57606a", linewidth=0.8, linestyle="--")
            axes.set_xticks(range(len(by_weight)), [f"{weight:g}" for weight in by_weight])
            axes.set_ylim(0, 1.05)
            plain(axes)
        row[0].set_ylabel(f"{factor} accuracy", fontsize=9)
    for axes, term in zip(places[-1], accuracies, strict=True):
        axes.set_xlabel("{}, weight of {}".format(*TERMS[term]), fontsize=9)
    handles, names = places[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False, fontsize=9)
    return save(figure, stem)[0]


def information_figure(information: Mapping[str, Sequence[float]], stem: Path) -> Path:
    """Draw the mutual information of each dimension of z_p ⊕ z_s with each factor as an annotated matrix.

    Args:
        information: nats of each dimension, by factor; the private half comes first.
        stem: path of the files without their endings.

    Returns:
        The PNG file; the PDF is next to it.
    """
    values = np.array(list(information.values()))
    figure = Figure(figsize=(0.75 * values.shape[1] + 1.4, 0.6 * len(values) + 0.9), layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap="Blues", vmin=0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.6 * values.max() else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour)
    axes.axvline(values.shape[1] // 2 - 0.5, color="black", linewidth=1.5)
    axes.set_xticks(range(values.shape[1]), dimension_names(values.shape[1]), fontsize=8)
    axes.set_yticks(range(len(values)), list(information), fontsize=9)
    return save(figure, stem)[0]


def traversal_figure(decoded: Sequence[Tensor], stem: Path) -> Path:
    """Draw the traversal of each dimension of z_p ⊕ z_s as a spectrogram, with low bands at the bottom.

    Args:
        decoded: log-mel frames [step, band], one tensor per dimension.
        stem: path of the files without their endings.

    Returns:
        The PNG file; the PDF is next to it.
    """
    columns = len(decoded) // 2
    figure = Figure(figsize=(2.1 * columns + 0.6, 4.6), layout="constrained")
    places = figure.subplots(2, columns, sharex=True, sharey=True, squeeze=False)
    together = torch.stack(list(decoded))
    low, high = together.min().item(), together.max().item()
    for axes, strip, name in zip(places.flat, decoded, dimension_names(len(decoded)), strict=True):
        axes.imshow(strip.numpy().T, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high)
        axes.set_title(name, fontsize=9)
        axes.set_xticks(range(0, len(STEPS), 2), [f"{step:g}" for step in STEPS[::2]])
        plain(axes)
    figure.supxlabel("value of the dimension", fontsize=9)
    figure.supylabel("mel band", fontsize=9)
    return save(figure, stem)[0]
