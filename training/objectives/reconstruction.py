"""Reconstruction: how far what a decoder gives is from the front-end frames."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import mse_loss


class Reconstructed(Protocol):
    """What an autoencoder of any number of views returns."""

    @property
    def target(self) -> tuple[Tensor, ...]:
        """The standardised frames of each view, [example, frame, dim]."""

    @property
    def reconstruction(self) -> tuple[Tensor, ...]:
        """What the decoder gives for each view, [example, frame, dim]."""


def reconstruction(out: Reconstructed) -> Tensor:
    """Mean squared error, summed over the views (Eq. 1 of arXiv 2510.02500)."""
    errors = [mse_loss(x_hat, x) for x_hat, x in zip(out.reconstruction, out.target, strict=True)]
    return torch.stack(errors).sum()
