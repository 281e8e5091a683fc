"""A checkpoint on the small codec, for what only a codec has: chunks, loudness, bfloat16."""

from __future__ import annotations

from pathlib import Path

import torch

from hear_multiview import checkpoint
from hear_multiview.encoders.private_shared import PrivateSharedEncoder
from hear_multiview.frontends import load_frontend


def saved_checkpoint(folder: Path, sha256: str | None = None) -> Path:
    """A checkpoint on the bundled codec with seeded weights."""
    front = load_frontend("demo")
    torch.manual_seed(0)
    encoder = PrivateSharedEncoder(front.dim, width=32, depth=1)
    card = {
        "frontend": {"name": "demo", "sha256": sha256 or front.digest},
        "encoder": {"dim": front.dim, "width": 32, "depth": 1},
        "views": ["joint", "private", "shared", "frontend"],
    }
    path = folder / "c.safetensors"
    checkpoint.save(path, {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}, card)
    return path
