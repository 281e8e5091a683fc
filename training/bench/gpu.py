"""The rows of a machine with a GPU: latents and a step of training there, beside stock and the GPU's own limit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from training.bench.encoder import OFFICIAL, flop, ours, prepare, stock
from training.bench.pretraining import pretraining_row, step
from training.bench.row import Row
from training.bench.turns import Comparison, by_turns

#: Clips at a time, as `hear_multiview.get_scene_embeddings` has them on a GPU.
CLIPS = 16


def gpu_rows(size: dict[str, Any] = OFFICIAL, clip: float = 10.0, repeats: int = 5, device: str = "cuda") -> list[Row]:
    """Latents of `CLIPS` clips in fp32 and bf16, and a step of training, on ``device``.

    Raises:
        ValueError: torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no GPU on this machine: run the rows of the CPU, `python -m training bench`")
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), size, clip)
        common = {"folder": name, "device": device, "clips": CLIPS}
        sides: list[Comparison] = [(stock, common), *((ours, {**common, "precision": p}) for p in ("fp32", "bf16"))]
        took, *found = by_turns(sides, repeats)
    rows = []
    for precision, mine in zip(("fp32", "bf16"), found, strict=True):
        limit = CLIPS * flop(size, clip) / mine["best"]
        ratio = took["seconds"] / mine["seconds"]
        rows.append(
            Row(
                f"latents of {CLIPS} clips of {clip:g} s, GPU, {precision}",
                f"{1000 * took['seconds']:.0f} ms",
                f"{1000 * mine['seconds']:.0f} ms",
                ratio,
                f"{1000 * limit:.0f} ms",
                limit / mine["seconds"],
                "faster than stock",
                ratio > 1,
            )
        )
    frames, dim = -(-round(clip * 44_100) // 512), size["latent_dim"]
    (found_step,) = by_turns([(step, {"frames": frames, "dim": dim, "pairs": 16, "device": device})], repeats)
    return [*rows, pretraining_row(found_step, f"step of pretraining, 16 pairs of {frames} x {dim}, GPU, fp32")]
