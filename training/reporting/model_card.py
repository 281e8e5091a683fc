"""The card of a published checkpoint, in Markdown: what its own JSON card says, in words.

The words are in `model_card.md.j2`. The header there is fixed but for the licence, so that the card needs no library of
the Hub, and nothing in a checkpoint can change it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from hear_multiview import hub
from hear_multiview.checkpoint import Checkpoint
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.files import file_digest
from sonyc_tasks.scores.text_tables import markdown_table
from training.registry import registered

#: How the commands that make sound say so in a card's ``data``.
_GENERATED = re.compile(r"^generated\b|\(generated\)")


def training_record(card: dict[str, Any]) -> str:
    """Data, recipe, seed and losses of a checkpoint's card, in one line."""
    recipe, best = card["recipe"], card["metrics"]
    losses = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in best["valid"].items())
    return (
        f"{card['data']}; recipe `{recipe['name']}` = `{json.dumps(recipe, sort_keys=True)}`, seed {card['seed']}; "
        f"best epoch {best['epoch'] + 1} of {recipe['epochs']}, with validation losses {losses}"
    )


def versions(card: dict[str, Any]) -> str:
    """The packages that made a checkpoint, in one line."""
    return ", ".join(f"{name} {version}" for name, version in card["versions"].items())


def published_card(checkpoint: Checkpoint, sha256: str, repo: str) -> str:
    """Write README.md of a model repository: the header that the Hub reads, then what the model is and is not.

    Args:
        checkpoint: the model.
        sha256: of its file.
        repo: ``org/name``.

    Raises:
        KeyError: the checkpoint does not say how it was trained.
    """
    card = checkpoint.card
    groups = {part: ", ".join(map(str, card["split"][part])) or "none" for part in ("train", "valid", "probe")}
    method = card["recipe"]["method"]
    known = registered("methods").get(method)
    small_codec = card["frontend"]["sha256"] == file_digest(codec_weights.BUNDLE)
    text = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    return Template(text, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).render(
        repo=repo,
        file=hub.FILE,
        sha256=sha256,
        licence="mit" if _GENERATED.search(card["data"]) else "cc-by-4.0",
        views=card["views"],
        front=card["frontend"],
        codec_note=codec_weights.bundle_note() if small_codec else "",
        method=method,
        paper=known.paper if known else "",
        sound=known.sound if known else "sound",
        meant=known.meant if known else {},
        record=training_record(card),
        groups="; ".join(f"{part} {names}" for part, names in groups.items()),
        versions=versions(card),
        losses=_losses(card["metrics"]),
    )


def _losses(best: dict[str, Any]) -> str:
    """The losses of the best epoch as a Markdown table."""
    names = dict.fromkeys([*best["train"], *best["valid"]])
    values = [[best[part].get(name) for part in ("train", "valid")] for name in names]
    rows = [
        [name.replace("_", " "), *("" if value is None else f"{value:.4f}" for value in row)]
        for name, row in zip(names, values, strict=True)
    ]
    return markdown_table(["loss, mean over pairs", "train", "validation"], rows, "lrr")
