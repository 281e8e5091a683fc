"""In which precision a run computes: a setting of the machine, not of the recipe.

``fp32`` is the default, and the one whose results are repeatable to the bit. ``bf16`` runs the model under autocast:
its matrix products and convolutions take and return bfloat16, on processors and GPUs that have units for it at several
times the speed. Weights, gradients and the optimizer stay in fp32, and so do the objectives, whose logarithms, cosines
and divergences would lose what they measure. ``tf32`` rounds what goes into a GPU's products to 10 bits of mantissa.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

PRECISIONS = ("fp32", "bf16", "tf32")


def check_precision(precision: str, device: str) -> None:
    """Raise ValueError where there is no such precision, or ``device`` does not have it."""
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision == "tf32" and torch.device(device).type != "cuda":
        raise ValueError(f"precision tf32 is one of GPUs, not of device {device}; choose fp32 or bf16")


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Have torch compute the products of a GPU in TF32 where that is the ``precision``, until the block ends."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def forward_in(precision: str, model: nn.Module, batch: Any) -> Any:
    """``model(batch)`` in ``precision``; every tensor of the result is in fp32, as objectives take it."""
    if precision != "bf16":
        return model(batch)
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
        out = model(batch)
    return _in_fp32(out)


def _in_fp32(value: Any) -> Any:
    """``value`` with every tensor in bfloat16, also in tuples and dataclasses, converted; the same object where there
    is none, since it may remember what was drawn from it."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, tuple):
        each = tuple(_in_fp32(one) for one in value)
        return each if any(new is not old for new, old in zip(each, value, strict=True)) else value
    if is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in fields(value)}
        new = {name: _in_fp32(one) for name, one in old.items()}
        return replace(value, **new) if any(new[name] is not old[name] for name in old) else value
    return value
