"""The results of the music system: its tables next to the published numbers, its figures, and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hear_multiview.frontends.log_mel import LogMel
from sonyc_tasks.scores.text_tables import markdown_table
from training.recipes import Recipe
from training.reporting.page import write_page
from training.reporting.page.audio import encode
from training.reporting.seed_statistics import Mean, mean
from training.reporting.text import estimate, number
from training.systems.music import sounds
from training.systems.music.figures import TERMS, ablation_figure, information_figure, traversal_figure
from training.systems.music.recipes import MUSIC
from training.systems.music.traversals import STEPS, load_vae, render, traverse

#: (timbre, frequency) accuracy of an MLP on the frozen latents, in the paper.
PUBLISHED = {"private": (0.743, 0.766), "shared": (0.974, 0.298), "joint": (0.981, 0.877)}
#: The paper's ranges of mutual information by dimension: (timbre, frequency).
PUBLISHED_INFORMATION = {"private": ("0.05–0.16", "0.22–0.43"), "shared": ("0.69–1.2", "0.08–0.16")}
CHANCE = {"timbre": 1 / len(sounds.TIMBRES), "frequency": 1 / len(sounds.FREQUENCIES)}
#: The sound whose latent the traversals move: a square wave in the middle of the range.
TRAVERSED = 4 * 10 + 3

#: (recipe, seed) → what `training.systems.music.experiment.measured` gives.
Found = Mapping[tuple[str, int], Mapping[str, Any]]


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
        folder: where to.
        about: sentences on what the numbers are based on.
        ablation: by term, the recipes by rising weight.
        found: what was measured.
        official: by (seed, subspace), heareval's accuracy by factor, of the main recipe.
        model: checkpoint whose latent is drawn and traversed.
        frames: of the probe sounds, [clip, frame, band].

    Returns:
        The page, and its tables as Markdown.
    """
    tables = [
        ("Accuracy on frozen latents", accuracy_table(found, official)),
        ("Mutual information", information_table(found)),
        ("Ablation: timbre / frequency accuracy", ablation_table(ablation, found)),
    ]
    accuracies = {
        term: {
            recipe.objectives[term]: {
                view: {factor: of_seeds(found, recipe.name, _value("accuracy", view, factor)) for factor in CHANCE}
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
            "Ablation: accuracy of an MLP on the frozen latents against the weight of each term; the other weights are "
            "the main recipe's. Dashed: chance.",
            ablation_figure(accuracies, CHANCE, folder / "ablation"),
        ),
        (
            "Mutual information of each dimension with each factor, in nats; main recipe, seed 0.",
            information_figure(found[MUSIC.name, 0]["information"], folder / "information"),
        ),
        (
            "Traversals: the latent of a square wave, decoded while one dimension moves; main recipe, seed 0.",
            traversal_figure(decoded, folder / "traversals"),
        ),
    ]
    page = folder / "page.html"
    write_page(page, "Disentangled music sounds", about, tables, figures, sounds=_traversal_sounds(decoded))
    return page, "\n\n".join(text for _, text in tables)


def _traversal_sounds(decoded: Sequence[Tensor]) -> list[tuple[str, str]]:
    """(caption, data address) of the sound of each dimension's traversal, from its log-mel frames [step, band]."""
    front, half = LogMel(), len(decoded) // 2
    heard = []
    for index, strip in enumerate(decoded):
        sound = render(strip, front)
        name = f"private {index}" if index < half else f"shared {index - half}"
        caption = f"{name}: from {STEPS[0]:g} to {STEPS[-1]:g} in {len(STEPS)} steps"
        heard.append((caption, encode((0.5 * sound / sound.abs().max()).numpy())))
    return heard


def of_seeds(found: Found, recipe: str, value: Callable[[Mapping[str, Any]], float]) -> Mean:
    """The mean over the seeds of a recipe.

    Args:
        found: what was measured.
        recipe: its name.
        value: takes the number from what was measured of one run.

    Raises:
        ValueError: the recipe has no run.
    """
    over = mean({seed: value(of_run) for (name, seed), of_run in found.items() if name == recipe})
    if over is None:
        raise ValueError(f"recipe {recipe} has no measured run; train it first")
    return over


def accuracy_table(found: Found, official: Mapping[tuple[int, str], Mapping[str, float]]) -> str:
    """Accuracy of the main recipe: our MLP next to the paper's, heareval's probes, and our MLP on draws."""
    rows = []
    for view, published in PUBLISHED.items():
        for factor, paper in zip(CHANCE, published, strict=True):
            ours, drawn = (
                _estimate(of_seeds(found, MUSIC.name, _value(what, view, factor)))
                for what in ("accuracy", "accuracy_of_draws")
            )
            probed = mean({seed: scores[factor] for (seed, name), scores in official.items() if name == view})
            assert probed is not None
            rows.append([view, factor, ours, number(paper), _estimate(probed), drawn])
    header = ["subspace", "factor", "MLP", "paper (MLP)", "heareval", "MLP on a draw"]
    return markdown_table(header, rows, "llrrrr")


def information_table(found: Found) -> str:
    """Mutual information in nats: the range over the dimensions of each half and all seeds, and of the whole half; then
    the mutual information gap over all dimensions."""
    rows = []
    runs = [of_run["information"] for (name, _), of_run in found.items() if name == MUSIC.name]
    for k, (view, published) in enumerate(PUBLISHED_INFORMATION.items()):
        for factor, paper in zip(CHANCE, published, strict=True):
            values = [np.split(np.array(of_run[factor]), 2)[k] for of_run in runs]
            whole = of_seeds(found, MUSIC.name, _value("information_of", view, factor))
            rows.append([view, factor, f"{np.min(values):.2f}–{np.max(values):.2f}", paper, _estimate(whole)])
    header = ["subspace", "factor", "one dimension", "paper", "all its dimensions"]
    gaps = (f"{f} {_estimate(of_seeds(found, MUSIC.name, _value('gap', f)))}" for f in CHANCE)
    return f"{markdown_table(header, rows, 'llrrr')}\n\nMutual information gap: {', '.join(gaps)}."


def ablation_table(ablation: Mapping[str, Sequence[Recipe]], found: Found) -> str:
    """Accuracy of the MLP, timbre / frequency, of each subspace by term and weight."""
    rows = []
    for term, recipes in ablation.items():
        for recipe in recipes:
            cells = [
                " / ".join(
                    _estimate(of_seeds(found, recipe.name, _value("accuracy", view, factor))) for factor in CHANCE
                )
                for view in PUBLISHED
            ]
            rows.append([TERMS[term][1], f"{recipe.objectives[term]:g}", *cells])
    return markdown_table(["term", "weight", *PUBLISHED], rows, "lrrrr")


def _value(*keys: str) -> Callable[[Mapping[str, Any]], float]:
    """A function that takes the value under ``keys``, one inside the other."""

    def value(of_run: Mapping[str, Any]) -> float:
        found: Any = of_run
        for key in keys:
            found = found[key]
        return float(found)

    return value


def _estimate(of: Mean) -> str:
    return estimate(of.value, of.ci_half_width)
