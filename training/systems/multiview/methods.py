"""Methods of the paper (arXiv 2510.02500, sections 2 and 3), and the one of the bundled model, which is our own.

The paper's are the multi-view autoencoder and its baselines. All of them train the same `PrivateSharedEncoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hear_multiview.encoders import make_encoder
from hear_multiview.encoders.pooling import pool_over_time, pooled_sizes
from hear_multiview.encoders.private_shared import PrivateSharedEncoder, mlp
from training.data.batches import Batch
from training.distributed import WHOLE, BatchShard
from training.methods import Method
from training.objectives.contrastive import ContrastiveOutput
from training.systems.multiview.views import SCENES, SENSORS

PAPER = "2510.02500"


@dataclass(frozen=True)
class AutoencoderOutput:
    """What an autoencoder makes of two views; each field but the last is (of view 1, of view 2).

    Attributes:
        target: the standardised frames, [pair, frame, dim].
        reconstruction: x̂, [pair, frame, dim].
        private, shared: z_p and z_s, [pair, frame, latent / 2].
        shard: the batch's.
    """

    target: tuple[Tensor, Tensor]
    reconstruction: tuple[Tensor, Tensor]
    private: tuple[Tensor, Tensor]
    shared: tuple[Tensor, Tensor]
    shard: BatchShard = WHOLE


@dataclass(frozen=True)
class ClassifierOutput:
    """What the supervised method makes of all clips of a batch, view 1 before view 2.

    Attributes:
        source_logits, sources: [clip, class]; sources are 0 or 1.
        sensor_logits: [clip, sensor].
        sensor: int64 [clip].
    """

    source_logits: Tensor
    sources: Tensor
    sensor_logits: Tensor
    sensor: Tensor


@dataclass(frozen=True)
class DesignedOutput:
    """What the contrast of designed pairs looks at: all views of a batch, of all processes.

    Attributes:
        private, shared: projections of the halves' statistics over time, [view · example, projection].
        scene, sensor: which scene and which sensor each of them is of, int64 [view · example].
        temperature: divides cosines.
    """

    private: Tensor
    shared: Tensor
    scene: Tensor
    sensor: Tensor
    temperature: float


class MultiViewAutoencoder(nn.Module):
    """Encoder and decoder of the paper: x̂_i = decoder(z_p,i ⊕ z_S) with z_S = (z_s,1 + z_s,2) / 2, frame by frame."""

    def __init__(self, dim: int, width: int = 512, depth: int = 2, mask: float = 0.0) -> None:
        """Make the model, with weights drawn from torch's random state.

        Args:
            dim: of a front-end frame.
            width, depth: of the hidden layers of encoder and decoder alike.
            mask: share of the entries of z_private that the decoder sees as zero in training, drawn anew in each call.
                The rest is not scaled up (this is masking, not dropout), and z_private as returned, which the cosine
                terms see, is complete.

        Raises:
            ValueError: ``mask`` is not in [0, 1).
        """
        super().__init__()
        if not 0 <= mask < 1:
            raise ValueError(f"mask {mask} is out of range; it must be in [0, 1)")
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.decoder = mlp(dim, width, depth, dim)
        self.mask = mask

    def forward(self, batch: Batch) -> AutoencoderOutput:
        """Both views with one fused shared half."""
        target_1, target_2 = (self.encoder.standardise(x) for x in batch.views)
        private_1, shared_1 = self.encoder.halves(target_1)
        private_2, shared_2 = self.encoder.halves(target_2)
        fused = (shared_1 + shared_2) / 2
        return AutoencoderOutput(
            target=(target_1, target_2),
            reconstruction=(
                self.decoder(torch.cat([self._masked(private_1, batch.shard), fused], dim=-1)),
                self.decoder(torch.cat([self._masked(private_2, batch.shard), fused], dim=-1)),
            ),
            private=(private_1, private_2),
            shared=(shared_1, shared_2),
            shard=batch.shard,
        )

    def _masked(self, z: Tensor, shard: BatchShard) -> Tensor:
        return z * (shard.rand_like(z) >= self.mask) if self.mask and self.training else z


class SingleViewAutoencoder(nn.Module):
    """The baseline without views: each clip is reconstructed from its own complete latent."""

    def __init__(self, dim: int, width: int = 512, depth: int = 2) -> None:
        """As for `MultiViewAutoencoder`."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.decoder = mlp(dim, width, depth, dim)

    def forward(self, batch: Batch) -> AutoencoderOutput:
        """The two clips of each pair, one after the other."""
        target_1, target_2 = (self.encoder.standardise(x) for x in batch.views)
        latents = [self.encoder.halves(target) for target in (target_1, target_2)]
        x_hat_1, x_hat_2 = (self.decoder(torch.cat(z, dim=-1)) for z in latents)
        (private_1, shared_1), (private_2, shared_2) = latents
        return AutoencoderOutput(
            target=(target_1, target_2),
            reconstruction=(x_hat_1, x_hat_2),
            private=(private_1, private_2),
            shared=(shared_1, shared_2),
            shard=batch.shard,
        )


class ContrastiveEncoder(nn.Module):
    """The contrastive baseline: one undivided latent, averaged over time, and no decoder."""

    def __init__(self, dim: int, width: int = 512, depth: int = 2, temperature: float = 0.1) -> None:
        """As for `MultiViewAutoencoder`; ``temperature`` divides the similarities. The paper gives none."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.temperature = temperature

    def forward(self, batch: Batch) -> ContrastiveOutput:
        """The mean latent of each clip."""
        z_1, z_2 = (torch.cat(self.encoder(x), dim=-1).mean(dim=1) for x in batch.views)
        return ContrastiveOutput((z_1, z_2), self.temperature, batch.shard)


class SupervisedEncoder(nn.Module):
    """The supervised baseline: one linear layer on the mean latent of a clip.

    It has outputs for the sources and for the training sensors; a recipe trains either by the objective it names.
    """

    def __init__(self, dim: int, sources: int, sensors: int, width: int = 512, depth: int = 2) -> None:
        """As for `MultiViewAutoencoder`; ``sources`` and ``sensors`` are the numbers of classes."""
        super().__init__()
        self.encoder = PrivateSharedEncoder(dim, width, depth)
        self.sources = sources
        self.head = nn.Linear(dim, sources + sensors)

    def forward(self, batch: Batch) -> ClassifierOutput:
        """Each clip of each pair on its own."""
        z = torch.cat([torch.cat(self.encoder(x), dim=-1).mean(dim=1) for x in batch.views])
        logits = self.head(z)
        return ClassifierOutput(
            source_logits=logits[:, : self.sources],
            sources=batch.labels["source"].flatten(0, 1),
            sensor_logits=logits[:, self.sources :],
            sensor=batch.labels["group"].flatten(),
        )


class DesignedPairs(nn.Module):
    """Halves trained on pairs by design (see `training.systems.multiview.views`), each with a head that serves training
    only: batch normalisation and a linear layer on what the half's frames are pooled to over time."""

    def __init__(self, dim: int, projection: int = 128, temperature: float = 0.1, **sizes: Any) -> None:
        """Make the model, with weights drawn from torch's random state.

        Args:
            dim: of a front-end frame.
            projection: size of a head's output.
            temperature: divides cosines.
            sizes: arguments of `hear_multiview.encoders.patches.PatchEncoder`.
        """
        super().__init__()
        self.encoder = make_encoder("patches", dim=dim, **sizes)
        sizes_of = pooled_sizes(self.encoder.parts, self.encoder.pools)
        self.heads = nn.ModuleDict(
            {name: nn.Sequential(nn.BatchNorm1d(n), nn.Linear(n, projection)) for name, n in sizes_of.items()}
        )
        self.temperature = temperature

    def forward(self, batch: Batch) -> DesignedOutput:
        """Scene 1 by sensors 1 and 2, then scene 2 by the same two."""
        halves = dict(zip(self.encoder.parts, self.encoder(torch.cat(batch.views)), strict=True))
        of_views = {name: pool_over_time(z, self.encoder.pools[name]).split(len(batch)) for name, z in halves.items()}
        projected = {
            name: self.heads[name](torch.cat([batch.shard.all_gather(z) for z in views]))
            for name, views in of_views.items()
        }
        example = torch.arange(len(projected["private"]) // len(batch.views), device=batch.views[0].device)
        scene, sensor = (torch.cat([2 * example + one for one in of_views]) for of_views in (SCENES, SENSORS))
        return DesignedOutput(projected["private"], projected["shared"], scene, sensor, self.temperature)


def _supervised(dim: int, sizes: Mapping[str, int], **model: int) -> SupervisedEncoder:
    return SupervisedEncoder(dim, sizes["source"], sizes["group"], **model)


_SOUND, _MEANT = "urban sound", {"private": "what is sounding", "shared": "where it was recorded"}
METHODS: dict[str, Method] = {
    "multiview": Method(
        lambda dim, _, **model: MultiViewAutoencoder(dim, **model), True, PAPER, sound=_SOUND, meant=_MEANT
    ),
    "single_view": Method(lambda dim, _, **model: SingleViewAutoencoder(dim, **model), paper=PAPER, sound=_SOUND),
    "contrastive": Method(lambda dim, _, **model: ContrastiveEncoder(dim, **model), paper=PAPER, sound=_SOUND),
    "supervised": Method(_supervised, paper=PAPER, sound=_SOUND),
    "designed_pairs": Method(lambda dim, _, **model: DesignedPairs(dim, **model), True, sound=_SOUND, meant=_MEANT),
}
