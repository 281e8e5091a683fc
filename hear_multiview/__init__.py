"""Self-supervised multi-view embeddings of urban sound, as a HEAR submission.

The three functions of the HEAR API are all that a user of the embeddings imports:

    import hear_multiview
    model = hear_multiview.load_model()                               # the bundled checkpoint, offline
    scene = hear_multiview.get_scene_embeddings(audio, model)         # [clip, dim]
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)  # [clip, frame, dim], [clip, frame] in ms
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hear_multiview.api import get_scene_embeddings, get_timestamp_embeddings, load_model

__version__ = "0.3.0"
__all__ = ["get_scene_embeddings", "get_timestamp_embeddings", "load_model"]


def __getattr__(name: str) -> object:
    """The three functions, imported on first use: they import torch, which a command's ``--help`` does not need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hear_multiview import api

    return getattr(api, name)
