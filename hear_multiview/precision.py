"""A model computes in the precision that it was loaded with."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor, nn


def require_same_precision(module: nn.Module, convert: Callable[[Tensor], Tensor]) -> None:
    """For the ``_apply`` of a ``module``: what ``half``, ``bfloat16``, ``double`` and ``to`` do to each of its tensors
    may move it and may not change its precision.

    The arithmetic of a front end is part of what its frames depend on, as the name of an entry in the cache says.

    Raises:
        ValueError: ``convert`` would change the type of a floating-point tensor.
    """
    tensors = itertools.chain(module.parameters(), module.buffers())
    for dtype, tensor in {t.dtype: t for t in tensors if t.is_floating_point()}.items():
        if (other := convert(tensor.detach().new_empty(0)).dtype) != dtype:
            raise ValueError(
                f"a loaded model cannot be converted from {dtype} to {other}: load it with precision='bf16' for "
                "bfloat16, or leave it as it is; .to(device) moves it"
            )
