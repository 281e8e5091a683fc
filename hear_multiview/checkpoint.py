"""Checkpoints: one safetensors file with the weights, and a JSON card in its header that says where they come from.

The card holds ``format`` (1), ``frontend`` {name, sha256, dim, hop, sample_rate, precision}, ``encoder`` {kind, its
arguments}, the ``views`` that it may be asked for, ``recipe``, ``seed``, ``data``, ``split``, ``metrics`` and
``versions``. The kind is a name in `hear_multiview.encoders.ENCODERS`; a card without one is of an ``mlp``. Tensors are
named ``encoder.…``, ``decoder.…`` and so on; only the first are needed for embeddings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from hear_multiview import weight_file
from hear_multiview.encoders import make_encoder
from hear_multiview.encoders.base import Encoder, views_of
from hear_multiview.files import first_line, replacing

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The tensors by name, and the card."""

    tensors: dict[str, Tensor]
    card: dict[str, Any]

    def encoder(self) -> Encoder:
        """The trained encoder, on the CPU."""
        encoder = make_encoder(**self.card["encoder"])
        encoder.load_state_dict(self._encoder_tensors())
        return encoder

    def _encoder_tensors(self) -> dict[str, Tensor]:
        prefix = "encoder."
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}

    def _check(self) -> None:
        """Raise KeyError, TypeError, ValueError or RuntimeError where a part is missing or does not fit."""
        _ = self.card["frontend"]["name"], self.card["frontend"]["sha256"]
        encoder = weight_file.require_fit(lambda: make_encoder(**self.card["encoder"]), self._encoder_tensors())
        if unknown := set(self.card["views"]) - set(views_of(encoder)):
            raise ValueError(f"its encoder has no view {', '.join(sorted(unknown))}")


def save(path: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write ``path`` atomically: whole or not at all."""
    with replacing(path) as part:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"hear_multiview": json.dumps({"format": FORMAT, **card}, sort_keys=True)}
        # Not save_file, which writes to a temporary file of its own, and leaves that when it is killed.
        part.write_bytes(to_bytes(tensors, metadata))


def load(path: Path) -> Checkpoint:
    """Read and check a checkpoint.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file (for a codec weight file, the message says how to pass it), a damaged or
            incomplete one, or a format that this version does not know.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    weight_file.check(path)
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})["hear_multiview"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(_not_a_checkpoint(path)) from error
    if not isinstance(card, dict):
        raise ValueError(_not_a_checkpoint(path))
    if card.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint {path} has format {card.get('format')}, but this version of hear_multiview reads {FORMAT}; "
            "use the version that wrote it"
        )
    checkpoint = Checkpoint(tensors, card)
    try:
        checkpoint._check()
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"checkpoint {path} is damaged ({first_line(error)}); use another one, or train it again"
        ) from error
    return checkpoint


def _not_a_checkpoint(path: Path) -> str:
    from hear_multiview.frontends.dac.weights import is_dac_file

    if is_dac_file(path):
        return (
            f"{path} is a descript-audio-codec weight file, not a checkpoint; pass it as frontend_weights "
            '(for heareval: --model-options \'{"frontend": "dac_44khz", "view": "frontend", "frontend_weights": '
            f'"{path}"}}\')'
        )
    return f"{path} is not a hear_multiview checkpoint; give one that `python -m training pretrain` wrote"
