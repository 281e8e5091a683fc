"""The HEAR API: audio in, scene and timestamp embeddings out (https://hearbenchmark.com/hear-api.html)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from hear_multiview import checkpoint, hub
from hear_multiview.embedder import Embedder
from hear_multiview.encoders.pooling import POOLS
from hear_multiview.frame_cache import FrameCache
from hear_multiview.frontends import load_frontend, names
from hear_multiview.frontends.base import PRECISIONS, PREFIX, FrontEnd

#: The checkpoint of ``load_model()`` without a path, inside the package.
BUNDLED = Path(__file__).parent / "bundled" / "multiview.safetensors"


def load_model(
    path: str | os.PathLike[str] | None = "",
    *,
    view: str = "joint",
    frontend: str | None = None,
    frontend_weights: str | os.PathLike[str] | None = None,
    precision: str = "fp32",
    pool: str | None = None,
) -> Embedder:
    """Load the model that the two embedding functions take: a frozen front end and a trained encoder.

    Args:
        path: a checkpoint that ``python -m training pretrain`` wrote, or ``hf://org/name`` or
            ``hf://org/name@revision`` for one on the Hugging Face Hub; empty or None is the bundled one.
        view: what the embedding is. ``joint`` is all that the encoder gives, ``frontend`` the front end's own output
            (for a codec its continuous latents: the paper's baseline "without training"), anything else one part of
            ``joint``: of the paper's encoder, ``private`` z_p or ``shared`` z_s. The checkpoint says which there are.
        frontend: the front end's name: ``dac_44khz``, ``demo``, ``log_mel``, ``waveform``, any other in
            `hear_multiview.frontends.LOADERS`, or ``hear:<module>`` for any HEAR module for torch. Normally left out:
            the checkpoint knows its own (and so names a module to import), and one that differs is refused. With
            ``view="frontend"`` it needs no checkpoint.
        frontend_weights: a weight file in descript-audio-codec's own format, instead of the one in the codec's cache
            or a download; for a HEAR module what its ``load_model`` takes. A checkpoint accepts only the weights that
            it was trained on.
        precision: ``fp32``, or ``bf16`` to run the front end in bfloat16. The latents' relative error then depends
            on the weights: about 1 % for seeded ones of the official codec's size, about 6 % for the small codec's.
            Log-mel frames and a HEAR module run in fp32 only.
        pool: how frame embeddings become a scene embedding: ``mean``, ``max``, or ``statistics``, which is the mean
            and the standard deviation and has twice as many dimensions. None is what each part of the encoder was
            trained for, and the mean for ``view="frontend"``.

    Returns:
        An `Embedder` in eval mode on the CPU; move it with ``.to(device)``, it never moves itself. Where the
        environment variable ``HEAR_MULTIVIEW_CACHE`` names a folder, it keeps front-end frames there.

    Raises:
        ValueError: an unknown value, a file that is not what it should be, or parts that do not fit together.
        FileNotFoundError: a path that does not exist.
    """
    _check_choice("precision", precision, PRECISIONS)
    _check_choice("pool", pool, (None, *POOLS))
    if frontend is not None and not str(frontend).startswith(PREFIX):
        _check_choice("frontend", frontend, names())

    cache = FrameCache.from_environment()
    if view == "frontend" and frontend is not None and not path:
        return Embedder(load_frontend(frontend, frontend_weights, precision), None, view, cache, pool)

    source = hub.local(path) if path else BUNDLED
    saved = checkpoint.load(source)
    wanted = saved.card["frontend"]
    if frontend not in (None, wanted["name"]):
        what = f"checkpoint {source}" if path else "the bundled checkpoint"
        raise ValueError(
            f"frontend {frontend!r} does not fit {what}, which was trained on {wanted['name']!r}; "
            "leave frontend out, give a checkpoint trained on it, or use view='frontend', which needs no checkpoint"
        )
    if source != Path(path or BUNDLED) and wanted["name"].startswith(PREFIX) and frontend is None:
        raise ValueError(
            f"checkpoint {os.fspath(path or '')} imports and runs the Python module "
            f"{wanted['name'].removeprefix(PREFIX)}; if you trust it, pass frontend={wanted['name']!r}"
        )
    if view not in saved.card["views"]:
        raise ValueError(f"checkpoint {source} has no view {view!r}; choose from {', '.join(saved.card['views'])}")
    front = load_frontend(wanted["name"], frontend_weights, precision)
    _check_weights_match(front, wanted, source)
    return Embedder(front, saved.encoder(), view, cache, pool)


def get_scene_embeddings(audio: Tensor, model: Embedder) -> Tensor:
    """One embedding per clip: its frame embeddings pooled over time as ``model.pools`` says, part by part.

    Args:
        audio: [clip, sample], floating point, mono at ``model.sample_rate``, nominally in [-1, 1]. With a codec, each
            clip is normalised to −24 LUFS on its own, so its level does not matter; other front ends take the audio
            unmodified.
        model: from `load_model`.

    Returns:
        float32 [clip, ``model.scene_embedding_size``] on the model's device. A clip's embedding does not depend on
        the other clips of the batch.

    Raises:
        ValueError: audio that is not a floating-point [clip, sample] tensor, is empty, shorter than half a frame of
            the front end, or not finite.
    """
    with as_loaded(model):
        return torch.cat([model.scene(clips) for clips in _batches(audio, model)])


def get_timestamp_embeddings(audio: Tensor, model: Embedder) -> tuple[Tensor, Tensor]:
    """One embedding per frame, with the time of each frame.

    Args:
        audio, model: as for `get_scene_embeddings`.

    Returns:
        float32 embeddings [clip, frame, ``model.timestamp_embedding_size``] and float32 timestamps [clip, frame] in
        milliseconds: the centres ``(i + 0.5) · hop / sample_rate · 1000``, without a last frame whose centre lies
        beyond the end of the audio; with a HEAR module as the front end its own timestamps. Where an encoder makes one
        embedding of several frames, the mean of their times.

    Raises:
        ValueError: as for `get_scene_embeddings`.
    """
    with as_loaded(model):
        parts, times = zip(*(model.frames(clips) for clips in _batches(audio, model)), strict=True)
    embeddings = torch.cat(parts)
    return embeddings, times[0].to(embeddings.device).expand(len(audio), -1).contiguous()


@contextmanager
def as_loaded(model: Embedder) -> Iterator[None]:
    """No gradients, and the model's own precision, whatever autocast is active around the call."""
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        yield


def _batches(audio: Tensor, model: Embedder) -> tuple[Tensor, ...]:
    """``audio``, checked, in float32 on the model's device, in batches of a good size for the device.

    On a CPU one clip already fills the cores, and clip by clip the result is bit-exactly independent of the batch.
    """
    if not isinstance(audio, Tensor) or not audio.is_floating_point():
        got = f"a {audio.dtype} tensor" if isinstance(audio, Tensor) else type(audio).__name__
        raise ValueError(f"audio is {got}; give a floating-point tensor with samples in [-1, 1]")
    if audio.ndim != 2:
        raise ValueError(f"audio has shape {tuple(audio.shape)}; give mono audio as [clip, sample]")
    clips, samples = audio.shape
    if clips == 0 or samples == 0:
        raise ValueError(f"audio is empty, of shape {tuple(audio.shape)}; give at least one clip and one frame")
    if samples < (shortest := math.ceil(model.frontend.hop / 2)):
        layout = f" (shape {tuple(audio.shape)} looks like [sample, channel])" if clips > samples else ""
        raise ValueError(
            f"audio of {samples} samples is shorter than half a frame of the front end{layout}; give at least "
            f"{shortest} samples at {model.sample_rate} Hz, as [clip, sample]"
        )
    finite = torch.stack([torch.isfinite(clip).all() for clip in audio])
    if not finite.all():
        raise ValueError(f"clip {int((~finite).nonzero()[0])} of the batch holds NaN or infinite samples; leave it out")
    device = model.device
    return audio.to(device=device, dtype=torch.float32).split(1 if device.type == "cpu" else 16)


def _check_choice(what: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; choose from {', '.join(map(str, known))}")


def _check_weights_match(front: FrontEnd, wanted: dict[str, str], source: Path) -> None:
    if front.digest != wanted["sha256"]:
        raise ValueError(
            f"checkpoint {source} was trained on {wanted['name']} weights with sha256 {wanted['sha256'][:12]}…, but "
            f"the weights found have {front.digest[:12]}…; give the matching file as frontend_weights"
        )
