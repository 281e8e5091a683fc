"""Benchmark on a GPU: latents and a pretraining step, compared with stock and with the peak of the GPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from training.bench.encoder import OFFICIAL, flop, ours, prepare, stock
from training.bench.interleaved import Comparison, measure_interleaved
from training.bench.pretraining import precision_row, pretraining_row, step
from training.bench.row import Row

#: Batch size, that of `hear_multiview.get_scene_embeddings` on a GPU.
CLIPS = 16


def gpu_rows(size: dict[str, Any] = OFFICIAL, clip: float = 10.0, repeats: int = 5, device: str = "cuda") -> list[Row]:
    """Measure the latents of `CLIPS` clips in fp32 and in bf16, and a pretraining step in each precision.

    Args:
        size: arguments of ``dac.DAC``.
        clip: length of the clips in seconds.
        repeats: number of measurements; the median is reported.
        device: where to compute.

    Returns:
        Two rows of latents, and one of the step in each precision that ``device`` has.

    Raises:
        ValueError: torch does not see a GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch does not see a GPU; measure the CPU with `python -m training bench`")
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), size, clip)
        common = {"folder": name, "device": device, "clips": CLIPS}
        contenders: list[Comparison] = [(stock, common)]
        contenders += [(ours, {**common, "precision": precision}) for precision in ("fp32", "bf16")]
        took, *found = measure_interleaved(contenders, repeats)
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
    batch = {"frames": frames, "dim": dim, "pairs": 16, "device": device}
    others = ("tf32", "bf16") if device == "cuda" else ("bf16",)
    measured = measure_interleaved([(step, {**batch, "precision": name}) for name in ("fp32", *others)], repeats)
    what = f"step of pretraining, 16 pairs of {frames} x {dim}, GPU"
    rows.append(pretraining_row(measured[0], f"{what}, fp32"))
    faster = zip(others, measured[1:], strict=True)
    return rows + [precision_row(measured[0], found, f"{what}, {name}", 2) for name, found in faster]
