"""One convolutional encoder with heads for clip, frame and pitch (Kuroyanagi & Komatsu 2022, arXiv 2505.18984).

Each head is LayerNorm, tanh and a linear layer, as in the authors' code. Unlike there, clip and frame each have a
similarity of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hear_multiview.encoders import make_encoder
from training.data.batches import Batch
from training.distributed import WHOLE, BatchShard
from training.methods import Method
from training.systems.sampling.renditions import semitones_of


@dataclass(frozen=True)
class SamplingOutput:
    """What the heads make of the views of a batch.

    Attributes:
        clip: z of the two crops, each [example, dim].
        clip_similarity: from [..., i, dim] and [..., j, dim] to logits [..., i, j].
        frame: z of the frames that are compared, and of those that they are compared with, each [segment, frame, dim].
        frame_similarity: as ``clip_similarity``.
        positive: which frames (columns) are right for each frame (rows), bool [frame, frame].
        candidate: among which it has to be found, likewise.
        shift_hat, shift: how much higher the last view is than the first: the estimate [example, frame] and the truth
            [example], in units of the largest shift. None where no view is shifted.
        shard: the batch's.
    """

    clip: tuple[Tensor, Tensor]
    clip_similarity: Callable[[Tensor, Tensor], Tensor]
    frame: tuple[Tensor, Tensor]
    frame_similarity: Callable[[Tensor, Tensor], Tensor]
    positive: Tensor
    candidate: Tensor
    shift_hat: Tensor | None = None
    shift: Tensor | None = None
    shard: BatchShard = WHOLE


class Bilinear(nn.Module):
    """s(a, b) = aᵀ W b with a learned W, as in COLA (arXiv 2010.10915).

    W begins as the identity over √dim, a dot product. One drawn at random, as in the source, does not favour equal
    vectors at first and learns more slowly (L_clip after 60 steps on generated clips: 2.66 instead of 1.63).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim) / dim**0.5)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a [..., i, dim] and b [..., j, dim] to [..., i, j]."""
        return a @ self.weight @ b.mT


class Cosine(nn.Module):
    """s(a, b) = cos(a, b) / τ."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a [..., i, dim] and b [..., j, dim] to [..., i, j]."""
        return normalize(a, dim=-1) @ normalize(b, dim=-1).mT / self.temperature


class SamplingEncoder(nn.Module):
    """An encoder and the three heads. They serve training only: an embedding is what the encoder gives."""

    def __init__(
        self,
        dim: int,
        projection: int = 256,
        similarity: Literal["bilinear", "cosine"] = "bilinear",
        temperature: float = 0.2,
        frame_positive: Literal["own", "neighbours", "copy"] = "own",
        band: int = 1,
        largest_shift: float = 3.0,
        encoder: str = "conv2d",
        **sizes: Any,
    ) -> None:
        """Make the model, with weights drawn from torch's random state.

        Args:
            dim: of a front-end frame.
            projection: size of z of clips and frames.
            similarity: of two z; the source has ``bilinear``.
            temperature: τ of the cosine.
            frame_positive: what is right for frame t. ``own``: itself, among all frames of its crop, as in the source.
                ``neighbours``: the frames from t − ``band`` to t + ``band``, among all of its crop but itself.
                ``copy``: frame t of the third view, among all frames of that.
            band: in frames of the encoder.
            largest_shift: the unit of the pitch head, in semitones.
            encoder: its kind, `hear_multiview.encoders.ENCODERS`; the source has ``efficientnet_b0``.
            sizes: arguments of the encoder.

        Raises:
            ValueError: an unknown ``similarity`` or ``frame_positive``.
        """
        super().__init__()
        for name, value, known in (
            ("similarity", similarity, ("bilinear", "cosine")),
            ("frame_positive", frame_positive, ("own", "neighbours", "copy")),
        ):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; choose {' or '.join(known)}")
        self.encoder = make_encoder(encoder, dim=dim, **sizes)
        (latent,) = self.encoder.parts.values()
        self.clip_head, self.frame_head = _head(latent, projection), _head(latent, projection)
        self.pitch_head = _head(latent, 1)
        self.clip_similarity, self.frame_similarity = (
            Bilinear(projection) if similarity == "bilinear" else Cosine(temperature) for _ in range(2)
        )
        self.frame_positive, self.band, self.largest_shift = frame_positive, band, largest_shift

    def forward(self, batch: Batch) -> SamplingOutput:
        """Two crops, and maybe the first one again as a third view, and with another pitch as the last.

        Raises:
            ValueError: frames are to be compared with those of a third view that there is not.
        """
        if self.frame_positive == "copy" and len(batch.views) < 3:
            raise ValueError("frame_positive 'copy' needs a third view; choose views 'crops_and_copy'")
        h = self.encoder(torch.cat(batch.views))[0]  # [view · example, frame, latent]
        crop_1, crop_2, *_ = h.split(len(batch))
        frames = self.frame_head(h)
        frames_1, _, *others = frames.split(len(batch))
        shifted = len(batch.views) > 2 and batch.renditions[-1] != batch.renditions[0]
        shift_hat, shift = self._shifts(h, batch) if shifted else (None, None)
        place = torch.arange(h.shape[1], device=h.device)
        distance = (place[:, None] - place).abs()
        beside = self.frame_positive == "neighbours"
        return SamplingOutput(
            clip=(self.clip_head(crop_1.amax(1)), self.clip_head(crop_2.amax(1))),
            clip_similarity=self.clip_similarity,
            frame=(frames_1, others[0]) if self.frame_positive == "copy" else (frames, frames),
            frame_similarity=self.frame_similarity,
            positive=(distance > 0) & (distance <= self.band) if beside else distance == 0,
            candidate=distance > 0 if beside else distance >= 0,
            shift_hat=shift_hat,
            shift=shift,
            shard=batch.shard,
        )

    def _shifts(self, h: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """How much higher the last view is than the first, estimated from h [view · example, frame, latent] and true,
        in units of the largest shift: [example, frame] and [example]."""
        first, *_, last = self.pitch_head(h)[..., 0].split(len(batch))
        names = zip(batch.renditions[0], batch.renditions[-1], strict=True)
        semitones = [semitones_of(of_last) - semitones_of(of_first) for of_first, of_last in names]
        return last - first, torch.tensor(semitones, device=h.device) / self.largest_shift


def _head(inputs: int, outputs: int) -> nn.Sequential:
    """LayerNorm, tanh and a linear layer."""
    return nn.Sequential(nn.LayerNorm(inputs), nn.Tanh(), nn.Linear(inputs, outputs))


METHODS: dict[str, Method] = {
    "sampling": Method(lambda dim, _, **model: SamplingEncoder(dim, **model), paper="2505.18984")
}
