"""The multi-view autoencoder: shared-weight encoder, fused shared half, decoder (section 2 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hear_multiview.encoder import PrivateSharedEncoder, mlp


@dataclass(frozen=True)
class TwoViews:
    """What the model makes of two views x_1, x_2 [pair, frame, dim]; each field is (of view 1, of view 2).

    ``target``: the standardised views; ``reconstruction``: x̂_i, like them; ``private``, ``shared``: z_p and z_s,
    [pair, frame, dim / 2].
    """

    target: tuple[Tensor, Tensor]
    reconstruction: tuple[Tensor, Tensor]
    private: tuple[Tensor, Tensor]
    shared: tuple[Tensor, Tensor]


class MultiViewAutoencoder(nn.Module):
    """Encoder and decoder of the paper: x̂_i = decoder(z_p,i ⊕ z_S) with z_S = (z_s,1 + z_s,2) / 2, frame by frame."""

    def __init__(self, dim: int, width: int, depth: int) -> None:
        """``dim`` of a front-end frame; ``width`` and ``depth`` of the hidden layers of encoder and decoder alike."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.decoder = mlp(dim, width, depth, dim)

    def forward(self, x_1: Tensor, x_2: Tensor, mask: float = 0.0) -> TwoViews:
        """Two views [pair, frame, dim] of equal length.

        ``mask``: the share of entries of z_private, drawn anew in each call from torch's own random state, that the
        decoder sees as zero. The rest is not scaled up (this is masking, not dropout), and z_private as returned,
        which the cosine terms see, is whole.
        """
        private_1, shared_1 = self.encoder(x_1)
        private_2, shared_2 = self.encoder(x_2)
        fused = (shared_1 + shared_2) / 2
        return TwoViews(
            target=(self.encoder.standardise(x_1), self.encoder.standardise(x_2)),
            reconstruction=(
                self.decoder(torch.cat([_masked(private_1, mask), fused], dim=-1)),
                self.decoder(torch.cat([_masked(private_2, mask), fused], dim=-1)),
            ),
            private=(private_1, private_2),
            shared=(shared_1, shared_2),
        )


def _masked(z: Tensor, share: float) -> Tensor:
    """``z`` with about ``share`` of its entries, at random, set to zero."""
    return z * (torch.rand_like(z) >= share) if share else z
