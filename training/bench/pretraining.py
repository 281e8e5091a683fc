"""Benchmark of a pretraining step, compared with the machine's matrix products."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hear_multiview import onednn
from hear_multiview.encoders.linear import product_for, set_product
from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.peak import peak_flops
from training.bench.row import Row
from training.engine.malloc import tune_malloc


def pretraining_rows(frames: int = 862, dim: int = 1024, pairs: int = 16, repeats: int = 5) -> list[Row]:
    """Measure a step of the paper's best recipe in fp32, with each product of the linear layers, and in bf16.

    Args:
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in the batch.
        repeats: number of measurements; the median is reported.

    Returns:
        Three rows: our layers compared with torch's in a process that nobody tuned, with torch's in one that is tuned
        like ours, and bf16 compared with fp32.
    """
    size = {"frames": frames, "dim": dim, "pairs": pairs, "device": "cpu"}
    contenders: list[dict[str, Any]] = [{"stock": True}, {"product": "torch"}, {}, {"precision": "bf16"}]
    stock, plain, ours, rounded = measure_interleaved([(step, {**size, **own}) for own in contenders], repeats)
    what = f"step of pretraining, {pairs} pairs of {frames} x {dim}, CPU"
    ratio = plain["seconds"] / ours["seconds"]
    return [
        pretraining_row(ours, f"{what}, fp32", stock["seconds"]),
        Row(
            f"{what}, fp32, with the product that was chosen",
            f"{plain['seconds']:.2f} s (torch's linear layers, memory kept)",
            f"{ours['seconds']:.2f} s ({ours['product']})",
            ratio,
            "",
            None,
            "at most 5 % slower",
            ratio >= 1 / 1.05,
        ),
        precision_row(ours, rounded, f"{what}, bf16", 3),
    ]


def precision_row(exact: dict[str, Any], rounded: dict[str, Any], what: str, times: float) -> Row:
    """Make a row of a step in another precision, from what `step` measured in fp32 and in that one.

    Args:
        exact, rounded: of a step in fp32, and of the same step.
        what: name of the row.
        times: how many times as fast it ought to be.
    """
    ratio, least = exact["seconds"] / rounded["seconds"], rounded["flop"] / rounded["matmul"]
    return Row(
        what,
        f"{exact['seconds']:.3g} s (fp32)",
        f"{rounded['seconds']:.3g} s, {rounded['flop'] / rounded['seconds'] / 1e9:.0f} GFLOP/s",
        ratio,
        f"{least:.3g} s at {rounded['matmul'] / 1e9:.0f} GFLOP/s (matmul)",
        least / rounded["seconds"],
        f"at least {times:g} x",
        ratio >= times,
    )


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


def step(
    frames: int,
    dim: int,
    pairs: int,
    device: str,
    stock: bool = False,
    product: str | None = None,
    precision: str = "fp32",
) -> Repeat:
    """Prepare measuring one pretraining step on random frames.

    Args:
        frames: frames per clip.
        dim: dimensions per frame.
        pairs: pairs of clips in the batch.
        device: where to compute.
        stock: use torch's linear layers and leave malloc untuned. Tuning affects the whole process.
        product: of the linear layers; None is the faster one.
        precision: see `training.engine.precision`.

    Returns:
        A `Repeat` giving the seconds, the product, the FLOP, and the machine's `peak_flops` in this precision.
    """
    from training.data.batches import Batch
    from training.engine.loop import Job, one_epoch
    from training.engine.precision import forward_in, products_in
    from training.registry import entry
    from training.systems.multiview.methods import MultiViewAutoencoder
    from training.systems.multiview.recipes import BEST

    if not stock:
        tune_malloc()
    model = MultiViewAutoencoder(dim, **BEST.model).to(device)
    used = "torch" if stock else product or product_for(model, pairs * frames)
    set_product(model, used)
    batch = Batch((torch.randn(pairs, frames, dim), torch.randn(pairs, frames, dim)), {})
    objectives = {name: entry("objectives", name) for name in BEST.objectives}

    def loss(batch: Batch) -> dict[str, torch.Tensor]:
        out = forward_in(precision, model, batch.to(device))
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
        with products_in(precision):
            one_epoch(job, [batch], epoch=0)  # reads the loss, which synchronises a GPU
            took = time.perf_counter() - start
            peak = peak_flops(torch.bfloat16 if precision == "bf16" else torch.float32, device=device)
        return {"seconds": took, "product": used, "flop": counter.get_total_flops(), **peak}

    return repeat
