"""Benchmark of a pretraining step, compared with the machine's matrix products."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hear_multiview import onednn
from hear_multiview.encoders.linear import set_product
from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.peak import peak_flops
from training.bench.row import Row
from training.engine.malloc import tune_malloc


def pretraining_rows(frames: int = 862, dim: int = 1024, pairs: int = 16, repeats: int = 5) -> list[Row]:
    """Measure a step of the paper's best recipe, with our linear layers and with torch's.

    Args:
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in the batch.
        repeats: number of measurements; the median is reported.

    Returns:
        One row.
    """
    size = {"frames": frames, "dim": dim, "pairs": pairs, "device": "cpu"}
    stock, ours = measure_interleaved([(step, {**size, "stock": True}), (step, size)], repeats)
    what = f"step of pretraining, {pairs} pairs of {frames} x {dim}, CPU, fp32"
    return [pretraining_row(ours, what, stock["seconds"])]


def pretraining_row(found: dict[str, Any], what: str, stock: float | None = None) -> Row:
    """Make a row of a measured step.

    Args:
        found: what `step` measured.
        what: name of the row.
        stock: seconds of the same step with torch's linear layers; None if not measured.

    Returns:
        The row; its limit is the time that the step's FLOP take at the machine's rate of matrix products.
    """
    least = found["flop"] / found["matmul"]
    share = least / found["seconds"]
    return Row(
        what,
        "" if stock is None else f"{stock:.2f} s (torch's linear layers)",
        f"{found['seconds']:.2f} s, {found['flop'] / found['seconds'] / 1e9:.0f} GFLOP/s",
        None if stock is None else stock / found["seconds"],
        f"{least:.2f} s at {found['matmul'] / 1e9:.0f} GFLOP/s (matmul)",
        share,
        "at least 70 % of the limit",
        share >= 0.7,
    )


def step(frames: int, dim: int, pairs: int, device: str, stock: bool = False) -> Repeat:
    """Prepare measuring one pretraining step on random frames.

    Args:
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in the batch.
        device: where to compute.
        stock: use torch's linear layers and leave malloc untuned. Tuning affects the whole process.

    Returns:
        A `Repeat` giving the seconds, the FLOP, and the machine's `peak_flops`.
    """
    from training.data.batches import Batch
    from training.engine.loop import Job, one_epoch
    from training.registry import entry
    from training.systems.multiview.methods import MultiViewAutoencoder
    from training.systems.multiview.recipes import BEST

    if not stock:
        tune_malloc()
    model = MultiViewAutoencoder(dim, **BEST.model).to(device)
    if stock:
        set_product(model, "torch")
    batch = Batch((torch.randn(pairs, frames, dim), torch.randn(pairs, frames, dim)), {})
    objectives = {name: entry("objectives", name) for name in BEST.objectives}

    def loss(batch: Batch) -> dict[str, torch.Tensor]:
        out = model(batch.to(device))
        return {name: objective(out) for name, objective in objectives.items()}

    job = Job(
        name="a step",
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=BEST.learning_rate),
        weights=BEST.objectives,
        loss=loss,
        train=lambda epoch, bar: [batch],
        valid=lambda bar: {},
        outputs=[],
        save=lambda record: None,
        epochs=1,
        steps=1,
        max_grad_norm=1.0,
    )

    with FlopCounterMode(display=False, custom_mapping=onednn.flop_counters()) as counter:
        one_epoch(job, [batch], epoch=0)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        one_epoch(job, [batch], epoch=0)  # reads the loss, which synchronises a GPU
        took = time.perf_counter() - start
        return {"seconds": took, "flop": counter.get_total_flops(), **peak_flops(torch.float32, device=device)}

    return repeat
