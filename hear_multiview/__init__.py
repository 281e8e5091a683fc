"""Self-supervised multi-view embeddings of urban sound, as a HEAR submission.

The three functions of the HEAR API:

    import hear_multiview
    model = hear_multiview.load_model()                               # the bundled checkpoint, offline
    scene = hear_multiview.get_scene_embeddings(audio, model)         # [clip, dim]
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)  # [clip, frame, dim], [clip, frame] in ms

And for recordings rather than tensors:

    audio = hear_multiview.read("street.flac", model)                 # [1, sample], as the model takes it
    for rows in hear_multiview.embed(["street.flac", "folder"], model, window=10): ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hear_multiview.api import get_scene_embeddings, get_timestamp_embeddings, load_model
    from hear_multiview.recordings.embed import embed
    from hear_multiview.recordings.reading import read

__version__ = "0.5.2"
__all__ = ["embed", "get_scene_embeddings", "get_timestamp_embeddings", "load_model", "read"]

#: Functions that are not in ``hear_multiview.api``, with their modules.
_ELSEWHERE = {"embed": "recordings.embed", "read": "recordings.reading"}


def __getattr__(name: str) -> object:
    """The functions, imported on first use: they import torch, which a command's ``--help`` does not need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'api')}"), name)
