"""Benchmark of the frame cache: a second view of a clip whose front-end frames are cached."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from training.bench.encoder import OFFICIAL, prepare
from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.row import Row


def cache_rows(size: dict[str, Any] = OFFICIAL, clip: float = 10.0, repeats: int = 3) -> list[Row]:
    """Compare the scene embedding of a second view with that of the first.

    Args:
        size: arguments of ``dac.DAC``.
        clip: length of the clip in seconds.
        repeats: number of measurements; the median is reported.

    Returns:
        One row.
    """
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), size, clip)
        ((found),) = measure_interleaved([(two_views, {"folder": name})], repeats)
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
    """Prepare measuring the scene embedding of a clip that is not yet cached, first private, then shared.

    Args:
        folder: weights and audio from `training.bench.encoder.prepare`.

    Returns:
        A `Repeat` giving the seconds of the first view, of the second, and of the encoder alone.
    """
    from hear_multiview import get_scene_embeddings
    from hear_multiview.embedder import Embedder
    from hear_multiview.encoders.private_shared import PrivateSharedEncoder
    from hear_multiview.frame_cache import FrameCache
    from hear_multiview.frontends import load_frontend

    front = load_frontend("demo", Path(folder) / "weights.pth")
    encoder = PrivateSharedEncoder(front.dim)
    audio = torch.load(Path(folder) / "audio.pt")
    frames = torch.randn(1, -(-audio.shape[1] // int(front.hop)), front.dim)

    def repeat() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            took, cache = {}, FrameCache(Path(name))
            for order, view in (("first", "private"), ("second", "shared")):
                start = time.perf_counter()
                get_scene_embeddings(audio, Embedder(front, encoder, view, cache))
                took[order] = time.perf_counter() - start
        start = time.perf_counter()
        with torch.no_grad():
            encoder(frames)
        return {**took, "encoder": time.perf_counter() - start}

    return repeat
