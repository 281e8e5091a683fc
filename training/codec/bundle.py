"""The bundled small codec: its size, its untrained start, and the file its encoder is bundled in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from dac.model import DAC
from safetensors.torch import save_file

#: The bundled codec: descript-audio-codec's own class and strides at a quarter of its width, 256 dimensions a frame.
ARGUMENTS: dict[str, Any] = {"encoder_dim": 16, "decoder_dim": 128, "n_codebooks": 9, "sample_rate": 44_100}


def seeded_codec(seed: int = 0, **arguments: Any) -> DAC:
    """An untrained codec with `ARGUMENTS`, or others, whose weights are drawn from ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DAC(**{**ARGUMENTS, **arguments}).eval()


def write_codec_bundle(codec: DAC, path: Path, note: str) -> None:
    """The encoder of ``codec`` in half precision, its arguments and ``note`` (what it was trained on) beside it."""
    arguments = {
        "encoder_dim": codec.encoder_dim,
        "encoder_rates": list(codec.encoder_rates),
        "latent_dim": codec.latent_dim,
        "sample_rate": codec.sample_rate,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    tensors = {name: tensor.half().contiguous() for name, tensor in codec.encoder.state_dict().items()}
    save_file(tensors, part, metadata={"codec": json.dumps(arguments), "note": note})
    part.chmod(0o644)  # safetensors writes for the owner's eyes only
    os.replace(part, path)
