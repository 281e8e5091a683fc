"""The card of a checkpoint as text that is read at a glance."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hear_multiview import checkpoint, hub
from hear_multiview.api import BUNDLED
from hear_multiview.encoders.base import Encoder
from hear_multiview.encoders.pooling import Pool, pooled_sizes
from hear_multiview.files import file_digest

#: What a scene embedding is, by how frame embeddings are pooled.
SCENES: dict[Pool, str] = {
    "mean": "mean over frames",
    "max": "maximum over frames",
    "statistics": "mean and standard deviation over frames",
}


def describe(path: str | os.PathLike[str] = "") -> str:
    """What a checkpoint is, one property per line.

    Args:
        path: a checkpoint, or ``hf://org/name``; empty is the bundled one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or an address that cannot be fetched.
    """
    file = hub.local(path) if path else BUNDLED
    saved = checkpoint.load(file)
    try:
        return _described(saved, file, f"{os.fspath(path)}" if path else f"{file} (bundled)")
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"the card of checkpoint {file} cannot be shown ({error!r:.120}); use another one") from error


def _described(saved: checkpoint.Checkpoint, file: Path, name: str) -> str:
    card, front = saved.card, saved.card["frontend"]
    encoder = saved.encoder()
    sizes = view_sizes(encoder.parts, front.get("dim"))
    arguments = {"kind": "mlp", **card["encoder"]}
    lines = {
        "checkpoint": name,
        "sha256": file_digest(file),
        "front end": f"{front['name']}, sha256 {front['sha256']}",
        "sample rate": _with_unit(front.get("sample_rate"), "Hz"),
        "frames": _frames(front, encoder),
        "encoder": f"{arguments.pop('kind')}, {_pairs(arguments)}; {_parameters(encoder)} parameters",
        "views": ", ".join(_sized(view, sizes[view]) for view in card["views"]),
        "scenes": _scenes(card["views"], encoder, front.get("dim")),
        "trained on": card.get("data"),
        "groups": _split(card.get("split")),
        "recipe": _recipe(card.get("recipe"), card.get("seed")),
        "metrics": _metrics(card.get("metrics")),
        "versions": _pairs(card.get("versions")),
    }
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in lines.items() if value)


def view_sizes(parts: Mapping[str, int], frontend_dim: int | None) -> dict[str, int | None]:
    """Number of dimensions of each view, from those of its parts; the front end's own is as its card says."""
    return {"joint": sum(parts.values()), **parts, "frontend": frontend_dim}


def _scenes(views: Sequence[str], encoder: Encoder, frontend_dim: int | None) -> str:
    """How a scene embedding of each view is made, and its number of dimensions; the front end's own is the mean."""
    sizes = view_sizes(pooled_sizes(encoder.parts, encoder.pools), frontend_dim)
    by_pool: dict[str, list[str]] = {}
    for view in views:
        pools: set[Pool] = {"mean"} if view == "frontend" else set(encoder.pools.values())
        if view in encoder.pools:
            pools = {encoder.pools[view]}
        how = SCENES[pools.pop()] if len(pools) == 1 else "its parts side by side"
        by_pool.setdefault(how, []).append(_sized(view, sizes[view]))
    return "; ".join(f"{', '.join(named)}: {how}" for how, named in by_pool.items())


def _sized(view: str, size: int | None) -> str:
    """``private [128]``; only the name where the card does not say the size."""
    return f"{view} [{size}]" if size else view


def _with_unit(value: Any, unit: str) -> str:
    return f"{value} {unit}" if value else ""


def _frames(front: Mapping[str, Any], encoder: Encoder) -> str:
    """How long a frame of an embedding is."""
    if not front.get("hop") or not front.get("sample_rate"):
        return ""
    samples = front["hop"] * encoder.stride
    return f"one every {samples:g} samples ({1000 * samples / front['sample_rate']:.4g} ms)"


def _parameters(encoder: Encoder) -> str:
    return f"{sum(parameter.numel() for parameter in encoder.parameters()):,}"


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items())


def _split(split: Mapping[str, Any] | None) -> str:
    """How many groups, such as sensors, of each part; a split that is something else as it is."""
    parts = split or {}
    counted = {name: len(value) if isinstance(value, list | dict) else value for name, value in parts.items()}
    return ", ".join(f"{value} {name}" for name, value in counted.items())


def _recipe(recipe: Mapping[str, Any] | None, seed: Any) -> str:
    if not recipe:
        return ""
    given = {key.replace("_", " "): value for key, value in recipe.items() if key != "name"}
    objectives = " + ".join(f"{weight:g} {name}" for name, weight in given.pop("objectives", {}).items())
    return f"{recipe.get('name', '')}, seed {seed}; {_pairs(given)}; {objectives}".rstrip("; ")


def _metrics(metrics: Mapping[str, Any] | None) -> str:
    """The metrics of the best epoch: ``valid total 2.6079, …``."""
    parts = []
    for name, value in (metrics or {}).items():
        if isinstance(value, Mapping):
            numbers = ", ".join(f"{key.replace('_', ' ')} {_number(number)}" for key, number in value.items())
            parts.append(f"{name}: {numbers}")
        else:
            parts.append(f"{name} {_number(value + 1 if name == 'epoch' else value)}")
    return "; ".join(parts)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
