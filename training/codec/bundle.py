"""The bundled small codec: its configuration, its random initialisation, and its weight file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from dac.model import DAC
from safetensors.torch import save as to_bytes

from sonyc_tasks.files import replacing

#: Arguments of ``dac.DAC``: its default strides at a quarter of its width, with 256 dimensions per frame.
CODEC_CONFIG: dict[str, Any] = {"encoder_dim": 16, "decoder_dim": 128, "n_codebooks": 9, "sample_rate": 44_100}


def seeded_codec(seed: int = 0, **arguments: Any) -> DAC:
    """Build an untrained codec with reproducible random weights.

    Args:
        seed: of the weights; torch's global random state is left alone.
        arguments: of ``dac.DAC``, in addition to `CODEC_CONFIG` or instead of its values.

    Returns:
        The codec in eval mode.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DAC(**{**CODEC_CONFIG, **arguments}).eval()


def write_codec_bundle(codec: DAC, path: Path, note: str) -> None:
    """Write the encoder of a codec in half precision, with its configuration in the file's metadata.

    Args:
        codec: the codec.
        path: safetensors file to write, whole or not at all.
        note: what the codec was trained on.
    """
    arguments = {
        "encoder_dim": codec.encoder_dim,
        "encoder_rates": list(codec.encoder_rates),
        "latent_dim": codec.latent_dim,
        "sample_rate": codec.sample_rate,
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in codec.encoder.state_dict().items()}
    with replacing(path) as part:
        # Not save_file, which writes to a temporary file of its own, and leaves that when it is killed.
        part.write_bytes(to_bytes(tensors, {"codec": json.dumps(arguments), "note": note}))
