"""The second view or task of the same clips, as heareval asks for it, with the cache of front-end frames."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from training.bench.encoder import OFFICIAL, prepare
from training.bench.row import Row
from training.bench.turns import Repeat, by_turns


def cache_rows(size: dict[str, Any] = OFFICIAL, clip: float = 10.0, repeats: int = 3) -> list[Row]:
    """One row: the scene embedding of a ``clip`` of so many seconds in a first view, and in a second one."""
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), size, clip)
        ((found),) = by_turns([(two_views, {"folder": name})], repeats)
    ratio = found["first"] / found["second"]
    return [
        Row(
            f"second view of {clip:g} s",
            f"{found['first']:.2f} s (ours, first view)",
            f"{1000 * found['second']:.0f} ms",
            ratio,
            f"{1000 * found['encoder']:.0f} ms (the encoder alone)",
            found["encoder"] / found["second"],
            "at least 20 x",
            ratio >= 20,
        )
    ]


def two_views(folder: str) -> Repeat:
    """Scene embeddings of a clip that the cache has not seen, first private, then shared; and the encoder alone, of
    frames in memory."""
    from hear_multiview import get_scene_embeddings
    from hear_multiview.embedder import Embedder
    from hear_multiview.encoders.mlp import PrivateSharedEncoder
    from hear_multiview.frame_cache import FrameCache
    from hear_multiview.frontends import load_frontend

    front = load_frontend("demo", Path(folder) / "weights.pth")
    encoder = PrivateSharedEncoder(front.dim)
    audio = torch.load(Path(folder) / "audio.pt")
    frames = torch.randn(1, -(-audio.shape[1] // int(front.hop)), front.dim)

    def repeat() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            took, cache = {}, FrameCache(Path(name))
            for turn, view in (("first", "private"), ("second", "shared")):
                start = time.perf_counter()
                get_scene_embeddings(audio, Embedder(front, encoder, view, cache))
                took[turn] = time.perf_counter() - start
        start = time.perf_counter()
        with torch.no_grad():
            encoder(frames)
        return {**took, "encoder": time.perf_counter() - start}

    return repeat
