"""Encoders: frames of a front end to the named parts of an embedding. One line each here, by the name in the card of a
checkpoint. What an encoder has is in `hear_multiview.encoders.base.Encoder`.

torch is imported when an encoder is made: recipes and help name all of them without it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hear_multiview.encoders.base import Encoder


def maker(module: str, name: str) -> Callable[..., Encoder]:
    """The class ``name`` in a ``module`` of this package, imported when an encoder is made."""

    def make(**arguments: Any) -> Encoder:
        encoder: Encoder = getattr(import_module(f"{__name__}.{module}"), name)(**arguments)
        return encoder

    return make


#: Kind, as in a checkpoint's card, to what makes an encoder of the card's other arguments.
ENCODERS: dict[str, Callable[..., Encoder]] = {
    "mlp": maker("private_shared", "PrivateSharedEncoder"),
    "conv1d": maker("convolutional", "Conv1dEncoder"),
    "conv2d": maker("convolutional", "Conv2dEncoder"),
    "patches": maker("patches", "PatchEncoder"),
    "efficientnet_b0": maker("efficientnet", "EfficientNetEncoder"),
}


def make_encoder(kind: str = "mlp", **arguments: Any) -> Encoder:
    """An encoder of the ``kind`` with these ``arguments``, untrained.

    Raises:
        ValueError: an unknown kind, or an unknown way of pooling.
        TypeError: arguments that it does not take.
    """
    if kind not in ENCODERS:
        raise ValueError(f"unknown encoder {kind!r}; choose from {', '.join(ENCODERS)}")
    from hear_multiview.encoders.pooling import known_pool

    encoder = ENCODERS[kind](**arguments)
    for pool in encoder.pools.values():
        known_pool(pool)
    return encoder
