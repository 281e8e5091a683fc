"""Results of the music system: tables with the published numbers, figures, and an HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hear_multiview.frontends.log_mel import LogMel
from sonyc_tasks.page.sound import encode
from sonyc_tasks.scores.text_tables import markdown_table
from training.recipes import Recipe
from training.reporting.page import write_page
from training.reporting.seed_statistics import Mean, mean
from training.reporting.text import estimate, number
from training.systems.music import sounds
from training.systems.music.figures import TERMS, ablation_figure, dimension_names, information_figure, traversal_figure
from training.systems.music.recipes import MUSIC
from training.systems.music.traversals import STEPS, load_vae, render, traverse

#: The paper's accuracy of an MLP on frozen latents: (timbre, frequency).
PUBLISHED = {"private": (0.743, 0.766), "shared": (0.974, 0.298), "joint": (0.981, 0.877)}
#: The paper's ranges of mutual information over dimensions, in nats: (timbre, frequency).
PUBLISHED_INFORMATION = {"private": ("0.05–0.16", "0.22–0.43"), "shared": ("0.69–1.2", "0.08–0.16")}
CHANCE = {"timbre": 1 / len(sounds.TIMBRES), "frequency": 1 / len(sounds.FREQUENCIES)}
#: Index of the sound used for traversals: a square wave in the middle of the frequency range.
TRAVERSED = 4 * 10 + 3

#: (recipe, seed) → the result of `training.systems.music.experiment.measure_run`.
Found = Mapping[tuple[str, int], Any]


def write_report(
    folder: Path,
    about: Sequence[str],
    ablation: Mapping[str, Sequence[Recipe]],
    found: Found,
    official: Mapping[tuple[int, str], Mapping[str, float]],
    model: Path,
    frames: Tensor,
) -> tuple[Path, str]:
    """Write the figures and the page.

    Args:
        folder: where to write them.
        about: sentences on how the numbers were obtained.
        ablation: recipes with increasing weight, by term.
        found: measurements of all runs.
        official: heareval's accuracy of the main recipe by factor, by (seed, subspace).
        model: checkpoint for the traversals.
        frames: frames of the probe sounds, [clip, frame, band].

    Returns:
        Path of the page, and its tables as Markdown.
    """
    tables = [
        ("Accuracy on frozen latents", accuracy_table(found, official)),
        ("Mutual information", information_table(found)),
        ("Ablation: timbre / frequency accuracy", ablation_table(ablation, found)),
    ]
    accuracies = {
        term: {
            recipe.objectives[term]: {
                view: {factor: mean_over_seeds(found, recipe.name, "accuracy", view, factor) for factor in CHANCE}
                for view in PUBLISHED
            }
            for recipe in rows
        }
        for term, rows in ablation.items()
    }
    vae = load_vae(model)
    decoded = [traverse(vae, frames[TRAVERSED], dimension) for dimension in range(vae.encoder.latent)]
    figures = [
        (
            "Ablation: accuracy of an MLP on frozen latents as a function of the weight of one term; the other weights "
            "are those of the main recipe. Dashed: chance.",
            ablation_figure(accuracies, CHANCE, folder / "ablation"),
        ),
        (
            "Mutual information of each dimension with each factor, in nats; main recipe, seed 0.",
            information_figure(found[MUSIC.name, 0]["information"], folder / "information"),
        ),
        (
            "Traversals: the decoded latent of a square wave while one dimension varies; main recipe, seed 0.",
            traversal_figure(decoded, folder / "traversals"),
        ),
    ]
    page = folder / "page.html"
    write_page(page, "Disentangled music sounds", about, tables, figures, sounds=_traversal_sounds(decoded))
    return page, "\n\n".join(text for _, text in tables)


def _traversal_sounds(decoded: Sequence[Tensor]) -> list[tuple[str, str]]:
    """Return (caption, data URL) of the audio of each dimension's traversal, from its log-mel frames [step, band]."""
    front, captioned = LogMel(), []
    for strip, name in zip(decoded, dimension_names(len(decoded)), strict=True):
        sound = render(strip, front)
        caption = f"{name}: from {STEPS[0]:g} to {STEPS[-1]:g} in {len(STEPS)} steps"
        captioned.append((caption, encode((0.5 * sound / sound.abs().max()).numpy())))
    return captioned


def mean_over_seeds(found: Found, recipe: str, *keys: str) -> Mean:
    """Average one measured number over the seeds of a recipe.

    Args:
        found: measurements of all runs.
        recipe: name of the recipe.
        keys: successive keys of the number in the measurements of a run.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: the recipe has no run.
    """
    value = mean({seed: reduce(getitem, keys, run) for (name, seed), run in found.items() if name == recipe})
    if value is None:
        raise ValueError(f"recipe {recipe} has no measured run; train it first")
    return value


def accuracy_table(found: Found, official: Mapping[tuple[int, str], Mapping[str, float]]) -> str:
    """Tabulate the accuracies of the main recipe: our MLP and the paper's, heareval's probes, and our MLP on draws.

    Args:
        found: measurements of all runs.
        official: heareval's accuracy by factor, by (seed, subspace).

    Returns:
        A Markdown table, one row per subspace and factor.
    """
    rows = []
    for view, published in PUBLISHED.items():
        for factor, paper in zip(CHANCE, published, strict=True):
            ours = _estimate(mean_over_seeds(found, MUSIC.name, "accuracy", view, factor))
            drawn = _estimate(mean_over_seeds(found, MUSIC.name, "accuracy_of_draws", view, factor))
            probed = mean({seed: scores[factor] for (seed, name), scores in official.items() if name == view})
            assert probed is not None
            rows.append([view, factor, ours, number(paper), _estimate(probed), drawn])
    header = ["subspace", "factor", "MLP", "paper (MLP)", "heareval", "MLP on a draw"]
    return markdown_table(header, rows, "llrrrr")


def information_table(found: Found) -> str:
    """Tabulate the mutual information of the main recipe in nats.

    Args:
        found: measurements of all runs.

    Returns:
        A Markdown table with one row per half and factor: the range over dimensions and seeds, the paper's, and that of
        the whole half. Below it, the mutual information gap over all dimensions.
    """
    rows = []
    runs = [run["information"] for (name, _), run in found.items() if name == MUSIC.name]
    for k, (view, published) in enumerate(PUBLISHED_INFORMATION.items()):
        for factor, paper in zip(CHANCE, published, strict=True):
            values = [np.split(np.array(run[factor]), 2)[k] for run in runs]
            whole = mean_over_seeds(found, MUSIC.name, "information_of", view, factor)
            rows.append([view, factor, f"{np.min(values):.2f}–{np.max(values):.2f}", paper, _estimate(whole)])
    header = ["subspace", "factor", "one dimension", "paper", "all its dimensions"]
    gaps = (f"{f} {_estimate(mean_over_seeds(found, MUSIC.name, 'gap', f))}" for f in CHANCE)
    return f"{markdown_table(header, rows, 'llrrr')}\n\nMutual information gap: {', '.join(gaps)}."


def ablation_table(ablation: Mapping[str, Sequence[Recipe]], found: Found) -> str:
    """Tabulate the accuracy of the MLP for every weight of every term.

    Args:
        ablation: recipes with increasing weight, by term.
        found: measurements of all runs.

    Returns:
        A Markdown table with "timbre / frequency" accuracy of each subspace.
    """
    rows = []
    for term, recipes in ablation.items():
        for recipe in recipes:
            cells = [
                " / ".join(_estimate(mean_over_seeds(found, recipe.name, "accuracy", view, f)) for f in CHANCE)
                for view in PUBLISHED
            ]
            rows.append([TERMS[term][1], f"{recipe.objectives[term]:g}", *cells])
    return markdown_table(["term", "weight", *PUBLISHED], rows, "lrrrr")


def _estimate(over_seeds: Mean) -> str:
    return estimate(over_seeds.value, over_seeds.ci_half_width)
