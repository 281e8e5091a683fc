"""The rows of the paper's tables: what each is called, which table it is in, and its group in Figure 2.

A recipe is reported once it has a row here.
"""

from __future__ import annotations

from collections.abc import Iterable

from training.recipes import Recipe
from training.systems.multiview.tables import Row

#: Keys in the scores of what nothing of ours is trained for.
FRONT_END, LOG_MEL = "frontend", "log_mel"
#: The front ends that are codecs. The bundled small one stands in for the official one, and next to its numbers.
CODECS = ("dac_44khz", "demo")

_RECONSTRUCTION, _COSINE, _MASK = "reconstruction only", "with a cosine term", "private half masked"
#: What the paper gives no number for.
NONE = (None, None)

#: Published are (source Jaccard, sensor accuracy); of the masks, the paper's Table 2 has the best one only.
ROWS = (
    Row("single_view", "single-view autoencoder", (0.582, 0.710), 1),
    Row("contrastive", "contrastive (InfoNCE)", (0.324, 0.392), 1),
    Row("supervised_source", "supervised, source", (0.699, None), 1),
    Row("supervised_sensor", "supervised, sensor", (None, 0.732), 1),
    Row("multiview_rec", "reconstruction", (0.610, 0.739), 2, _RECONSTRUCTION),
    Row("multiview_cosine_private_sample", "+ L_cos− sample", (0.633, 0.735), 2, _COSINE),
    Row("multiview_cosine_private_batch", "+ L_cos− batch", (0.610, 0.737), 2, _COSINE),
    Row("multiview_cosine_shared_sample", "+ L_cos+ sample", (0.593, 0.719), 2, _COSINE),
    Row("multiview_cosine_shared_batch", "+ L_cos+ batch", (0.603, 0.728), 2, _COSINE),
    Row("multiview_mask_0.2", "+ mask z_p, r = 0.2", NONE, 2, _MASK),
    Row("multiview_mask_0.4", "+ mask z_p, r = 0.4", (0.594, 0.733), 2, _MASK),
    Row("multiview_mask_0.6", "+ mask z_p, r = 0.6", NONE, 2, _MASK),
    Row("multiview_mask_0.8", "+ mask z_p, r = 0.8", NONE, 2, _MASK),
)


def table_rows(recipes: Iterable[Recipe], best: str, frontend: str) -> tuple[list[Row], list[Row]]:
    """The rows of Table 1 and of Table 2: of what was trained, and in both, at the end, of what is not trained.

    Args:
        recipes: what was trained.
        best: the recipe that is "multi-view" in Table 1, if it was trained.
        frontend: the front end's name.

    Raises:
        ValueError: a recipe has no row.
    """
    names = {recipe.name for recipe in recipes}
    if unknown := names - {row.method for row in ROWS}:
        raise ValueError(f"no row of the tables is for {', '.join(sorted(unknown))}; add it to ROWS in {__name__}")
    first, second = ([row for row in ROWS if row.method in names and row.table == table] for table in (1, 2))
    ours = [Row(best, f"multi-view ({row.label})", row.published) for row in second if row.method == best]
    untrained = [front_end_row(frontend), Row(LOG_MEL, "log-mel mean and deviation (our reference)")]
    return [*ours, *first, *untrained], [*second, *untrained]


def front_end_row(frontend: str) -> Row:
    """The row of the front end alone. The paper's numbers are a codec's, so any other front end has none."""
    name = frontend.removeprefix("hear:").rpartition(".")[2]
    if frontend in CODECS:
        return Row(FRONT_END, f"{name} latents, no encoder", (0.583, 0.684))
    return Row(FRONT_END, f"{name} frames, no encoder")
