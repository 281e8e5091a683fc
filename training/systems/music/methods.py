"""The multi-view variational autoencoder (Wilkins et al. 2024, arXiv 2411.02711)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hear_multiview.encoders.private_shared import PrivateSharedEncoder, mlp
from training.data.batches import Batch
from training.distributed import WHOLE, BatchShard
from training.methods import Method
from training.systems.music.gaussians import Gaussian, product_of_experts

#: The variance of a posterior is never below e to the minus this.
MAX_NEG_LOG_VARIANCE = 12.0


@dataclass(frozen=True)
class VAEOutput:
    """What the variational autoencoder makes of two views.

    Attributes:
        target, reconstruction: of each view, [pair, frame, dim]; the target is standardised.
        private: the posteriors of each view, over N = pair · frame of the whole batch where processes share it.
        shared: the posteriors that both views have in common.
    """

    target: tuple[Tensor, Tensor]
    reconstruction: tuple[Tensor, Tensor]
    private: tuple[Gaussian, Gaussian]
    shared: Gaussian


class MultiViewVAE(nn.Module):
    """Wilkins et al. 2024: the encoder gives the means of Gaussian posteriors, a second MLP their log variances; the
    shared posteriors of the two views become one, as a product of experts; the decoder takes z_p ⊕ z_s, frame by frame.

    The second MLP serves training only: an embedding is a posterior's mean, which the encoder alone gives.
    """

    def __init__(self, dim: int, width: int, depth: int, latent: int) -> None:
        """``latent``: dimensions of z_p and z_s together. ``width``, ``depth``: hidden layers of all three MLPs."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth, latent)
        self.log_variance = mlp(dim, width, depth, latent)
        self.decoder = mlp(latent, width, depth, dim)

    def forward(self, batch: Batch) -> VAEOutput:
        """Both views with one shared latent, drawn once from the fused posterior."""
        x_1, x_2 = batch.views
        private_1, shared_1 = self.posteriors(x_1, batch.shard)
        private_2, shared_2 = self.posteriors(x_2, batch.shard)
        shared = product_of_experts(shared_1, shared_2)
        own = batch.shard.rows(len(shared.mean))
        return VAEOutput(
            target=(self.encoder.standardise(x_1), self.encoder.standardise(x_2)),
            reconstruction=(
                self.decoder(torch.cat([private_1.sample[own], shared.sample[own]], dim=-1)).view_as(x_1),
                self.decoder(torch.cat([private_2.sample[own], shared.sample[own]], dim=-1)).view_as(x_2),
            ),
            private=(private_1, private_2),
            shared=shared,
        )

    def posteriors(self, x: Tensor, shard: BatchShard = WHOLE) -> tuple[Gaussian, Gaussian]:
        """x [pair, frame, dim], a ``shard`` of a batch, to the private and the shared posterior of one view, over N =
        pair · frame of the whole batch: the parts of the divergence hold each against all."""
        # In fp32 also under autocast: in bfloat16, the precisions' sums and differences would lose what they are about.
        means = [mean.float() for mean in self.encoder(x)]
        # No posterior is wider than the prior, as `product_of_experts` needs, nor a point, from which none comes back.
        log_variance = -softplus(self.log_variance(self.encoder.standardise(x)).float()).clamp(max=MAX_NEG_LOG_VARIANCE)
        log_variances = log_variance.chunk(2, dim=-1)
        private, shared = (
            Gaussian(shard.all_gather(mean.flatten(0, 1)), shard.all_gather(log_variance.flatten(0, 1)))
            for mean, log_variance in zip(means, log_variances, strict=True)
        )
        return private, shared


METHODS: dict[str, Method] = {
    "multiview_vae": Method(
        lambda dim, _, **model: MultiViewVAE(dim, **model),
        disentangled=True,
        paper="2411.02711",
        sound="music sounds",
        meant={"private": "the frequency", "shared": "the timbre"},
    ),
}
