"""The model as an audio encoder of MTEB, whose audio tasks are MAEB (arXiv 2602.16008): one embedding per clip."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hear_multiview import __version__, get_scene_embeddings, load_model
from hear_multiview.adapters.waveform import waveform


class MultiviewEncoder:
    """Scene embeddings of the model that ``load_model(**options)`` gives, on ``device``; they compare by cosine."""

    def __init__(self, *, device: str = "cpu", **options: Any) -> None:
        self.model = load_model(**options).to(device)

    @cached_property
    def mteb_model_meta(self) -> Any:
        """MTEB's ``ModelMeta``. MTEB keeps scores by name, here the view, and by revision, all else they depend on."""
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        front, encoder = self.model.frontend, self.model.encoder
        revision = hashlib.sha256(
            f"{__version__} {front.name} {front.digest} {front.precision} {self.model.pools}".encode()
        )
        for tensor in encoder.state_dict().values() if encoder is not None else ():
            revision.update(tensor.cpu().numpy().tobytes())
        about = {"name": f"hear_multiview/{self.model.view}", "revision": revision.hexdigest()}
        size = {"embed_dim": self.model.scene_embedding_size, "modalities": ["audio"], "framework": ["PyTorch"]}
        return ModelMeta.create_empty({**about, **size, "similarity_fn_name": ScoringFunction.COSINE})

    def encode(self, inputs: Iterable[dict[str, Any]], **_: Any) -> np.ndarray:
        """Embed every clip of every ``batch["audio"]`` by itself at its own length, padded to half a frame if shorter.

        `hear_multiview.adapters.waveform` says what a clip may be.

        Returns:
            Scene embeddings, float32 [clip, dim].

        Raises:
            ValueError: a clip cannot be embedded; the message has its number, counted from 0 over all batches.
        """
        clips = (clip for batch in inputs for clip in batch["audio"])
        return np.concatenate([self._scene(clip, f"clip {number}") for number, clip in enumerate(clips)])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """[clip, dim] and [other clip, dim] to the cosine of each pair, [clip, other clip]."""
        return _directions(embeddings1) @ _directions(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """[clip, dim] and [clip, dim] to the cosine of each clip's two, [clip]."""
        return (_directions(embeddings1) * _directions(embeddings2)).sum(-1)

    def _scene(self, clip: Any, name: str) -> np.ndarray:
        audio = torch.from_numpy(waveform(clip, self.model.sample_rate, name))[None]
        missing = math.ceil(self.model.frontend.hop / 2) - audio.shape[1]
        padded = nn.functional.pad(audio, (0, max(0, missing)))
        try:
            return get_scene_embeddings(padded, self.model).cpu().numpy()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _directions(embeddings: Any) -> Tensor:
    return nn.functional.normalize(torch.atleast_2d(torch.as_tensor(embeddings).float()), dim=-1)
