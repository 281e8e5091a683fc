"""The methods: the paper's multi-view autoencoder, the baselines that share its encoder (sections 2 and 3), and the
variational autoencoder that came before it (arXiv 2411.02711).

Each takes one `Batch` and returns what its objectives look at. All train the same `PrivateSharedEncoder`, so that every
method ends as the same kind of checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hear_multiview.encoders.mlp import PrivateSharedEncoder, mlp
from sonyc_tasks.dataset.taxonomy import COARSE
from training.engine.distributed import WHOLE, Share
from training.systems.music.gaussians import Gaussian, product_of_experts

#: The variance of a posterior is never below e to the minus this.
NARROWEST = 12.0


@dataclass(frozen=True)
class Batch:
    """Pairs of clips by a view rule, for most recipes of one sensor.

    Attributes:
        views: front-end frames (x_1, x_2) of the two clips, each [pair, frame, dim], of equal length.
        sources: of each clip, which of the coarse classes it holds: two of 0 and 1, [pair, class]. Only the supervised
            method looks at them, and at ``sensor``.
        sensor: of both clips, as its place among the training sensors: int64 [pair].
        share: which part these pairs are of the batch that all processes see together.
    """

    views: tuple[Tensor, Tensor]
    sources: tuple[Tensor, Tensor]
    sensor: Tensor
    share: Share = WHOLE

    def to(self, device: torch.device) -> Batch:
        """The same on ``device``."""
        x_1, x_2 = (x.to(device) for x in self.views)
        sources_1, sources_2 = (x.to(device) for x in self.sources)
        return replace(self, views=(x_1, x_2), sources=(sources_1, sources_2), sensor=self.sensor.to(device))


@dataclass(frozen=True)
class TwoViews:
    """What an autoencoder makes of two views x_1, x_2 [pair, frame, dim]; each field is (of view 1, of view 2).

    ``target``: the standardised views; ``reconstruction``: x̂_i, like them; ``private``, ``shared``: z_p and z_s,
    [pair, frame, dim / 2]; ``share``: the batch's.
    """

    target: tuple[Tensor, Tensor]
    reconstruction: tuple[Tensor, Tensor]
    private: tuple[Tensor, Tensor]
    shared: tuple[Tensor, Tensor]
    share: Share = WHOLE


@dataclass(frozen=True)
class Posteriors:
    """What the variational autoencoder makes of two views x_1, x_2 [pair, frame, dim].

    ``target``, ``reconstruction``: as of `TwoViews`; ``private``: of each view, over N = pair · frame, of the
    whole batch where several processes share it; ``shared``: the one that both views have together.
    """

    target: tuple[Tensor, Tensor]
    reconstruction: tuple[Tensor, Tensor]
    private: tuple[Gaussian, Gaussian]
    shared: Gaussian


@dataclass(frozen=True)
class Embedded:
    """What the contrastive method makes of two views: the clips' embeddings z̄_1, z̄_2 [pair, dim]; its temperature;
    the batch's ``share``."""

    embedding: tuple[Tensor, Tensor]
    temperature: float
    share: Share = WHOLE


@dataclass(frozen=True)
class Classified:
    """What the supervised method makes of all clips of a batch, view 1 before view 2: logits and truth.

    ``source_logits``, ``sources``: [clip, class]; ``sensor_logits``: [clip, sensor]; ``sensor``: int64 [clip].
    """

    source_logits: Tensor
    sources: Tensor
    sensor_logits: Tensor
    sensor: Tensor


class MultiViewAutoencoder(nn.Module):
    """Encoder and decoder of the paper: x̂_i = decoder(z_p,i ⊕ z_S) with z_S = (z_s,1 + z_s,2) / 2, frame by frame."""

    def __init__(self, dim: int, width: int, depth: int, mask: float = 0.0) -> None:
        """``dim`` of a front-end frame; ``width`` and ``depth`` of the hidden layers of encoder and decoder alike.

        ``mask``: while training, the share of entries of z_private, drawn anew in each call from torch's own random
        state, that the decoder sees as zero. The rest is not scaled up (this is masking, not dropout), and z_private
        as returned, which the cosine terms see, is whole.
        """
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.decoder = mlp(dim, width, depth, dim)
        self.mask = mask

    def forward(self, batch: Batch) -> TwoViews:
        """Both views with one fused shared half."""
        x_1, x_2 = batch.views
        private_1, shared_1 = self.encoder(x_1)
        private_2, shared_2 = self.encoder(x_2)
        fused = (shared_1 + shared_2) / 2
        return TwoViews(
            target=(self.encoder.standardise(x_1), self.encoder.standardise(x_2)),
            reconstruction=(
                self.decoder(torch.cat([self._masked(private_1, batch.share), fused], dim=-1)),
                self.decoder(torch.cat([self._masked(private_2, batch.share), fused], dim=-1)),
            ),
            private=(private_1, private_2),
            shared=(shared_1, shared_2),
            share=batch.share,
        )

    def _masked(self, z: Tensor, share: Share) -> Tensor:
        return z * (share.rand_like(z) >= self.mask) if self.mask and self.training else z


class MultiViewVAE(nn.Module):
    """Wilkins et al. 2024: the encoder gives the means of Gaussian posteriors, a second MLP their log variances; the
    shared posteriors of the two views become one, as a product of experts; the decoder takes z_p ⊕ z_s, frame by frame.

    The second MLP serves training only: an embedding is a posterior's mean, which the encoder alone gives.
    """

    def __init__(self, dim: int, width: int, depth: int, latent: int) -> None:
        """``latent``: dimensions of z_p and z_s together; the rest as for `MultiViewAutoencoder`."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth, latent)
        self.log_variance = mlp(dim, width, depth, latent)
        self.decoder = mlp(latent, width, depth, dim)

    def forward(self, batch: Batch) -> Posteriors:
        """Both views with one shared latent, drawn once from the fused posterior."""
        x_1, x_2 = batch.views
        private_1, shared_1 = self.posteriors(x_1, batch.share)
        private_2, shared_2 = self.posteriors(x_2, batch.share)
        shared = product_of_experts(shared_1, shared_2)
        own = batch.share.rows(len(shared.mean))
        return Posteriors(
            target=(self.encoder.standardise(x_1), self.encoder.standardise(x_2)),
            reconstruction=(
                self.decoder(torch.cat([private_1.sample[own], shared.sample[own]], dim=-1)).view_as(x_1),
                self.decoder(torch.cat([private_2.sample[own], shared.sample[own]], dim=-1)).view_as(x_2),
            ),
            private=(private_1, private_2),
            shared=shared,
        )

    def posteriors(self, x: Tensor, share: Share = WHOLE) -> tuple[Gaussian, Gaussian]:
        """x [pair, frame, dim], the ``share`` of a batch, to the private and the shared posterior of one view, over N =
        pair · frame of the whole batch: the parts of the divergence hold each against all."""
        means = self.encoder(x)
        # No posterior is wider than the prior, as `product_of_experts` needs, nor a point, from which none comes back.
        log_variance = -softplus(self.log_variance(self.encoder.standardise(x))).clamp(max=NARROWEST)
        log_variances = log_variance.chunk(2, dim=-1)
        private, shared = (
            Gaussian(share.everywhere(mean.flatten(0, 1)), share.everywhere(log_variance.flatten(0, 1)))
            for mean, log_variance in zip(means, log_variances, strict=True)
        )
        return private, shared


class SingleViewAutoencoder(nn.Module):
    """The baseline without views: the same encoder and decoder, each clip reconstructed from its own whole latent."""

    def __init__(self, dim: int, width: int, depth: int) -> None:
        """As for `MultiViewAutoencoder`."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.decoder = mlp(dim, width, depth, dim)

    def forward(self, batch: Batch) -> TwoViews:
        """The two clips of each pair, one after the other."""
        x_1, x_2 = batch.views
        latents = [self.encoder(x) for x in (x_1, x_2)]
        x_hat_1, x_hat_2 = (self.decoder(torch.cat(z, dim=-1)) for z in latents)
        (private_1, shared_1), (private_2, shared_2) = latents
        return TwoViews(
            target=(self.encoder.standardise(x_1), self.encoder.standardise(x_2)),
            reconstruction=(x_hat_1, x_hat_2),
            private=(private_1, private_2),
            shared=(shared_1, shared_2),
            share=batch.share,
        )


class ContrastiveEncoder(nn.Module):
    """The contrastive baseline: the same encoder, one undivided latent, no decoder."""

    def __init__(self, dim: int, width: int, depth: int, temperature: float) -> None:
        """``temperature`` divides the similarities of InfoNCE; the rest as for `MultiViewAutoencoder`."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.temperature = temperature

    def forward(self, batch: Batch) -> Embedded:
        """The mean latent of each clip."""
        z_1, z_2 = (torch.cat(self.encoder(x), dim=-1).mean(dim=1) for x in batch.views)
        return Embedded((z_1, z_2), self.temperature, batch.share)


class SupervisedEncoder(nn.Module):
    """The supervised baseline: the same encoder, and one linear layer on the mean latent of a clip.

    It has outputs for the sources and for the training sensors; a recipe trains either by the objective it names.
    """

    def __init__(self, dim: int, width: int, depth: int, sensors: int) -> None:
        """``sensors``: how many train; the rest as for `MultiViewAutoencoder`."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.head = nn.Linear(dim, len(COARSE) + sensors)

    def forward(self, batch: Batch) -> Classified:
        """Each clip of each pair on its own."""
        z = torch.cat([torch.cat(self.encoder(x), dim=-1).mean(dim=1) for x in batch.views])
        logits = self.head(z)
        return Classified(
            source_logits=logits[:, : len(COARSE)],
            sources=torch.cat(batch.sources),
            sensor_logits=logits[:, len(COARSE) :],
            sensor=batch.sensor.repeat(2),
        )


Model = MultiViewAutoencoder | MultiViewVAE | SingleViewAutoencoder | ContrastiveEncoder | SupervisedEncoder


class Settings(Protocol):
    """What a model takes from a recipe (see `training.recipes.Recipe`)."""

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def latent(self) -> int | None: ...
    @property
    def mask(self) -> float: ...
    @property
    def temperature(self) -> float: ...


@dataclass(frozen=True)
class Method:
    """A line of the registry.

    Attributes:
        model: of a recipe's settings, the dimensions of a frame and the number of training sensors, the model.
        divided: whether its latent has two halves that mean something; if not, only the joint view of it does.
    """

    model: Callable[[Settings, int, int], Model]
    divided: bool = False


#: Every method that a recipe may name.
METHODS: dict[str, Method] = {
    "multiview": Method(lambda r, dim, _: MultiViewAutoencoder(dim, r.width, r.depth, r.mask), divided=True),
    "single_view": Method(lambda r, dim, _: SingleViewAutoencoder(dim, r.width, r.depth)),
    "contrastive": Method(lambda r, dim, _: ContrastiveEncoder(dim, r.width, r.depth, r.temperature)),
    "supervised": Method(lambda r, dim, sensors: SupervisedEncoder(dim, r.width, r.depth, sensors)),
    "multiview_vae": Method(lambda r, dim, _: MultiViewVAE(dim, r.width, r.depth, r.latent or dim), divided=True),
}
