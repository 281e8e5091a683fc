"""A step of pretraining, beside the machine's matrix products."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hear_multiview import onednn
from hear_multiview.encoders.linear import Linear
from training.bench.limits import rates
from training.bench.row import Row
from training.bench.turns import Repeat, by_turns
from training.engine.memory import tune_malloc


def pretraining_rows(frames: int = 862, dim: int = 1024, pairs: int = 16, repeats: int = 5) -> list[Row]:
    """One row: a step of the paper's best recipe on a batch of ``pairs`` of clips, each [frames, dim], beside the same
    step with torch's own linear layers and the C library as it is."""
    size = {"frames": frames, "dim": dim, "pairs": pairs, "device": "cpu"}
    stock, ours = by_turns([(step, {**size, "stock": True}), (step, size)], repeats)
    what = f"step of pretraining, {pairs} pairs of {frames} x {dim}, CPU, fp32"
    return [pretraining_row(ours, what, stock["seconds"])]


def pretraining_row(found: dict[str, Any], what: str, stock: float | None = None) -> Row:
    """What `step` ``found``, as a row; ``stock``: seconds with torch's own layers."""
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
    """One step of `engine.pretrain` on random frames; its FLOP; and what matrix products reach. ``stock``: with
    torch's own linear layers and the C library as it is; the latter is for all of this process."""
    from training.data.batches import Batch
    from training.engine.loop import Job, one_epoch
    from training.registry import entry
    from training.systems.multiview.methods import MultiViewAutoencoder
    from training.systems.multiview.recipes import BEST

    if not stock:
        tune_malloc()
    model = MultiViewAutoencoder(dim, **BEST.model).to(device)
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.use_onednn = not stock
    views = (torch.randn(pairs, frames, dim), torch.randn(pairs, frames, dim))
    batch = Batch(views, {})
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
        one_epoch(job, [batch], epoch=0)  # ends with the loss as a number: a GPU has finished
        took = time.perf_counter() - start
        return {"seconds": took, "flop": counter.get_total_flops(), **rates(torch.float32, device=device)}

    return repeat
