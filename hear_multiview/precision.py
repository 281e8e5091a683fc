"""A model computes in the precision that it was loaded in."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor, nn


def require_same_precision(module: nn.Module, convert: Callable[[Tensor], Tensor]) -> None:
    """Call in the ``_apply`` of a ``module``, through which ``half``, ``bfloat16``, ``double`` and ``to`` change its
    tensors: they may be moved, but not converted.

    Frames depend on the arithmetic of the front end; the name of a cache entry holds it.

    Raises:
        ValueError: ``convert`` would change the type of a floating-point tensor.
    """
    tensors = itertools.chain(module.parameters(), module.buffers())
    for dtype, tensor in {t.dtype: t for t in tensors if t.is_floating_point()}.items():
        if (other := convert(tensor.detach().new_empty(0)).dtype) != dtype:
            raise ValueError(
                f"a loaded model cannot be converted from {dtype} to {other}; .to(device) only moves it, and loading "
                "with precision='bf16' runs a codec in bfloat16"
            )
