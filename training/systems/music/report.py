"""The results of the music system as tables beside the published numbers, figures, and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hear_multiview.frontends.log_mel import LogMel
from training.recipes import MUSIC, Recipe
from training.reporting.page import write_page
from training.reporting.page.audio import encode
from training.reporting.seed_statistics import Mean, mean
from training.systems.music import sounds
from training.systems.music.figures import ablation_figure, information_figure, traversal_figure
from training.systems.music.traversals import STEPS, load_vae, render, traverse

#: (timbre, frequency) accuracy of a frozen-latent MLP in the paper.
PUBLISHED = {"private": (0.743, 0.766), "shared": (0.974, 0.298), "joint": (0.981, 0.877)}
#: The paper's ranges of mutual information by dimension: (timbre, frequency).
PUBLISHED_INFORMATION = {"private": ("0.05–0.16", "0.22–0.43"), "shared": ("0.69–1.2", "0.08–0.16")}
CHANCE = {"timbre": 1 / len(sounds.TIMBRES), "frequency": 1 / len(sounds.FREQUENCIES)}
#: The sound whose latent the traversals move: a square wave in the middle of the range.
TRAVERSED = 4 * 10 + 3

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
    """Write the figures and the page into ``folder``; return the page's path and its tables as Markdown.

    Args:
        about: sentences on what the numbers stand on.
        ablation: by term, the recipes by rising weight.
        found: by (recipe, seed), what `training.systems.music.experiment.measured` gives.
        official: by (seed, subspace), heareval's accuracy by factor, of the main recipe.
        model: checkpoint whose latent is drawn and traversed.
        frames: of the probe sounds [clip, frame, band].
    """
    tables = [
        ("Accuracy from frozen latents", accuracy_table(found, official)),
        ("Mutual information and MIG", information_table(found)),
        ("Ablation", ablation_table(ablation, found)),
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
    vae, front = load_vae(model), LogMel()
    decoded = [traverse(vae, frames[TRAVERSED], dimension) for dimension in range(vae.encoder.latent)]
    figures = [
        (
            "Ablation: accuracy of a frozen-latent MLP over the weight of each term, the others at the main recipe's; "
            "dashed: chance.",
            ablation_figure(accuracies, CHANCE, folder / "ablation"),
        ),
        (
            "Mutual information in nats of each dimension with each factor, main recipe, seed 0.",
            information_figure(found[MUSIC.name, 0]["information"], folder / "information"),
        ),
        (
            "Traversals: the latent of a square wave with one dimension moved, decoded; main recipe, seed 0.",
            traversal_figure(decoded, folder / "traversals"),
        ),
    ]
    half = vae.encoder.latent // 2
    heard = []
    for index, strip in enumerate(decoded):
        sound = render(strip, front)
        name = f"private {index}" if index < half else f"shared {index - half}"
        caption = f"{name}: from {STEPS[0]:g} to {STEPS[-1]:g} in {len(STEPS)} steps"
        heard.append((caption, encode((0.5 * sound / sound.abs().max()).numpy())))
    page = write_page(folder / "page.html", "Disentangled music sounds", about, tables, figures, None, heard)
    return page, "\n\n".join(text for _, text in tables)


def of_seeds(found: Found, recipe: str, value: Callable[[Mapping[str, Any]], float]) -> Mean:
    """Mean over the seeds of ``recipe`` of a ``value`` of what was found.

    Raises:
        ValueError: there are none.
    """
    over = mean({seed: value(of_run) for (name, seed), of_run in found.items() if name == recipe})
    if over is None:
        raise ValueError(f"recipe {recipe} has no measured run")
    return over


def accuracy_table(found: Found, official: Mapping[tuple[int, str], Mapping[str, float]]) -> str:
    """Ours, by the MLP and by heareval's probes, beside the published; by the MLP on draws; of the main recipe."""
    lines = ["| subspace | factor | MLP | paper (MLP) | heareval | MLP, of a draw |", "|---|---|--:|--:|--:|--:|"]
    for view, published in PUBLISHED.items():
        for factor, paper in zip(CHANCE, published, strict=True):
            ours = of_seeds(found, MUSIC.name, _value("accuracy", view, factor))
            probed = mean({seed: scores[factor] for (seed, name), scores in official.items() if name == view})
            assert probed is not None
            drawn = of_seeds(found, MUSIC.name, _value("accuracy_of_draws", view, factor))
            lines.append(f"| {view} | {factor} | {_said(ours)} | {paper:.3f} | {_said(probed)} | {_said(drawn)} |")
    return "\n".join(lines)


def information_table(found: Found) -> str:
    """Nats of the dimensions of each half, least to most of all seeds; of the whole half; MIG of the 8 dimensions."""
    lines = ["| subspace | factor | of a dimension | paper | of all its dimensions |", "|---|---|--:|--:|--:|"]
    runs = [of_run for (name, _), of_run in found.items() if name == MUSIC.name]
    for view, published in PUBLISHED_INFORMATION.items():
        for factor, paper in zip(CHANCE, published, strict=True):
            values = []
            for of_run in runs:
                half = len(of_run["information"][factor]) // 2
                values += of_run["information"][factor][slice(half) if view == "private" else slice(half, None)]
            whole = of_seeds(found, MUSIC.name, _value("information_of", view, factor))
            lines.append(f"| {view} | {factor} | {min(values):.2f}–{max(values):.2f} | {paper} | {_said(whole)} |")
    gaps = (f"{f} {_said(of_seeds(found, MUSIC.name, _value('gap', f)))}" for f in CHANCE)
    return "\n".join(lines) + f"\n\nMutual information gap: {', '.join(gaps)}."


def ablation_table(ablation: Mapping[str, Sequence[Recipe]], found: Found) -> str:
    """Accuracy of the MLP, timbre / frequency, of each subspace by term and weight."""
    lines = ["| term | weight | private | shared | joint |", "|---|--:|--:|--:|--:|"]
    for term, rows in ablation.items():
        for recipe in rows:
            cells = [
                " / ".join(_said(of_seeds(found, recipe.name, _value("accuracy", view, factor))) for factor in CHANCE)
                for view in PUBLISHED
            ]
            lines.append(f"| {term.replace('_', ' ')} | {recipe.objectives[term]:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _value(*keys: str) -> Callable[[Mapping[str, Any]], float]:
    """What takes the value under ``keys``, one inside the other."""

    def value(of_run: Mapping[str, Any]) -> float:
        found: Any = of_run
        for key in keys:
            found = found[key]
        return float(found)

    return value


def _said(value: Mean) -> str:
    return f"{value.value:.3f}" if value.half_width is None else f"{value.value:.3f} ± {value.half_width:.3f}"
