"""The objectives of Fonseca et al. 2021 (arXiv 2105.02132): coincidence; similarity is the core's InfoNCE.

The form of coincidence prediction is that of Jansen et al. 2020 (arXiv 1911.05894) as recalled; the paper was not at
hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.systems.separated.methods import SeparatedOutput


def coincidence(out: SeparatedOutput) -> Tensor:
    """L = −1/B [ Σ_i log p_ii + 1/(B−1) Σ_i Σ_{j≠i} log(1 − p_ij) ], over all B² pairs of a batch.

    p_ij says whether view 1 of example i and view 2 of example j are of one clip. The B pairs that are weigh as much as
    the B (B−1) that are not, so that p = ½ everywhere gives 2 log 2.
    """
    first, second = (out.shard.all_gather(h) for h in out.pooled)
    logits = out.coincide(first, second)  # [example, example]
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    others = max(1, len(logits) - 1)
    return -(logsigmoid(logits[own]).sum() + logsigmoid(-logits[~own]).sum() / others) / len(logits)


OBJECTIVES: dict[str, Callable[[Any], Tensor]] = {"coincidence": coincidence}
