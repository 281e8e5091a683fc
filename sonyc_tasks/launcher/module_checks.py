"""Check with two seconds of faint noise, before any work, that a HEAR module gives meaningful embeddings.

Neither heareval nor its validator does: both accept timestamps in seconds instead of milliseconds, embeddings that are
not finite, and a model left in train mode, whose dropout gives different embeddings at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from sonyc_tasks.errors import first_line

#: Seconds of noise, as in hearvalidator.
SECONDS = 2
#: Standard deviation of the noise. Faint, but not silence, for which some modules give NaN.
LEVEL = 0.01
#: Allowed difference between two calls, relative to the embeddings: sums on a GPU differ in the last digits.
TOLERANCE = 1e-3
#: Allowed deviation of a step between timestamps from the mean step, in steps: some modules round to milliseconds.
IRREGULAR = 0.1
#: Allowed distance in ms of the last timestamp from the end of the audio, if it is more than a step: without padding,
#: the last frame is half a window before the end.
END = 100.0


class Embedding(Protocol):
    """heareval's wrapper of a module and its model; audio is float32 [clip, sample], results are arrays."""

    module: Any
    model: Any

    def get_scene_embedding_as_numpy(self, audio: Any) -> np.ndarray:
        """Return embeddings [clip, dim]."""

    def get_timestamp_embedding_as_numpy(self, audio: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return embeddings [clip, frame, dim] and timestamps [clip, frame] in ms."""


def check_module(embedding: Embedding, kinds: set[str]) -> list[str]:
    """Try the functions that tasks of these ``kinds`` ("scene", "event") need.

    Returns:
        Sentences on what is doubtful.

    Raises:
        ValueError: No score of this module could be trusted; the message says why.
    """
    name = embedding.module.__name__
    audio = noise(sample_rate(embedding))
    doubts = []
    training = in_train_mode(embedding.model)
    with _no_cache(embedding.model):
        if "scene" in kinds:
            scene = _caller(embedding, "get_scene_embeddings", embedding.get_scene_embedding_as_numpy)
            doubts += _check(name, "get_scene_embeddings", lambda clips: (scene(audio[:clips]),), training, dims=2)
        if "event" in kinds:
            frames = _caller(embedding, "get_timestamp_embeddings", embedding.get_timestamp_embedding_as_numpy)
            doubts += _check(name, "get_timestamp_embeddings", lambda clips: frames(audio[:clips]), training, dims=3)
    if training:
        doubts.append(f"the model of module {name} is in train mode ({training}); call its eval() in load_model")
    return doubts


def sample_rate(embedding: Embedding) -> int:
    """Return the model's sample rate in Hz.

    Raises:
        ValueError: It is missing, or not a positive integer.
    """
    rate = getattr(embedding.model, "sample_rate", None)
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or rate <= 0:
        raise ValueError(
            f"the model of module {embedding.module.__name__} has sample_rate {rate!r}; set it to an integer, in Hz"
        )
    return int(rate)


def noise(rate: int) -> Any:
    """Draw two clips of seeded noise, a float32 tensor [2, sample]."""
    import torch

    draw = np.random.default_rng(0).normal(scale=LEVEL, size=(2, SECONDS * rate))
    return torch.from_numpy(draw.astype(np.float32))


def in_train_mode(model: Any) -> str:
    """List the types of submodules of a torch model that are in train mode; "" if there are none."""
    if not hasattr(model, "modules"):  # TensorFlow has no such mode
        return ""
    kinds = sorted({type(part).__name__ for part in model.modules() if part.training})
    return ", ".join(kinds[:3]) + (", …" if len(kinds) > 3 else "")


def check_times(name: str, times: np.ndarray, milliseconds: float) -> None:
    """Check the timestamps [frame] of a clip that is ``milliseconds`` long.

    Raises:
        ValueError: They do not rise, are irregular, or do not cover the clip in milliseconds.
    """
    times = times.astype(np.float64)
    what = f"module {name} gives timestamps"
    if not np.isfinite(times).all():
        raise ValueError(f"{what} that are not finite; correct the module")
    steps = np.diff(times)
    if not (steps > 0).all():
        raise ValueError(f"{what} that do not rise; correct the module")
    step = float(steps.mean()) if len(steps) else milliseconds
    if abs(times[-1] - milliseconds / 1000) <= max(step, END / 1000):
        raise ValueError(
            f"{what} in seconds ({milliseconds:g} ms of audio end at {times[-1]:g}) instead of milliseconds; multiply "
            "them by 1000 in the module"
        )
    slack = max(step * (1 + TOLERANCE), END)
    if abs(times[-1] - milliseconds) > slack or abs(times[0]) > slack:
        raise ValueError(
            f"{what} from {times[0]:g} to {times[-1]:g} for {milliseconds:g} ms of audio; correct the module to give "
            "each frame's time in milliseconds, over the whole clip"
        )
    if len(steps) and np.abs(steps - step).max() > IRREGULAR * step:
        raise ValueError(
            f"{what} that are {steps.min():.4g} to {steps.max():.4g} ms apart; correct the module to give regular ones"
        )


def _check(
    name: str, function: str, call: Callable[[int], tuple[np.ndarray, ...]], training: str, *, dims: int
) -> list[str]:
    """Check one of the module's functions; ``call(clips)`` embeds that many clips of noise."""
    who = f"{function} of module {name}"
    pair, alone, again = call(2), call(1), call(1)
    for clips, result in ((2, pair), (1, alone), (1, again)):
        _check_shape(who, result, clips, dims)
    embeddings = alone[0]
    if not all(np.isfinite(result[0]).all() for result in (pair, alone, again)):
        raise ValueError(f"{who} gives embeddings that are not finite for {SECONDS} s of noise; correct the module")
    if dims == 3:
        check_times(name, alone[1][0], 1000.0 * SECONDS)
    if difference := _difference(embeddings, again[0]):
        raise ValueError(
            f"{who} gives different embeddings for the same audio (by up to {difference:.3g}); "
            + (f"call eval() in load_model, as {training} is in train mode" if training else "make it deterministic")
        )
    doubts = []
    if difference := _difference(embeddings, pair[0][:1]):
        differs = f"{who} embeds a clip differently with another in its batch (by up to {difference:.3g})"
        if training:
            raise ValueError(f"{differs}; call eval() in load_model, as {training} is in train mode")
        doubts.append(f"{differs}, so scores depend on how heareval batches the clips")
    if embeddings.dtype != np.float32:
        doubts.append(f"{who} gives {embeddings.dtype} instead of HEAR's float32, to which heareval converts it")
    return doubts


def _check_shape(who: str, result: tuple[np.ndarray, ...], clips: int, dims: int) -> None:
    embeddings = result[0]
    good = embeddings.ndim == dims and len(embeddings) == clips and embeddings.size > 0
    if not good or (dims == 3 and result[1].shape != embeddings.shape[:2]):
        asked = "[clip, dim]" if dims == 2 else "[clip, frame, dim] and timestamps [clip, frame]"
        given = " and ".join(str(tuple(array.shape)) for array in result)
        raise ValueError(f"{who} gives {given} for {clips} clips of {SECONDS} s; correct it to give {asked}")
    if not np.issubdtype(embeddings.dtype, np.floating):
        raise ValueError(f"{who} gives {embeddings.dtype}; correct it to give float32")


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference between two results, or 0 if they are equal up to rounding."""
    if one.shape != other.shape:
        return float("inf")
    one, other = one.astype(np.float64), other.astype(np.float64)
    difference = np.abs(one - other)
    scale = np.sqrt((one**2).mean())
    return float(difference.max()) if (difference > TOLERANCE * (np.abs(one) + scale)).any() else 0.0


def _caller(embedding: Embedding, function: str, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap ``call``, which calls the module's ``function``, so that exceptions say what was called with what."""
    name = embedding.module.__name__
    if not callable(getattr(embedding.module, function, None)):
        raise ValueError(f"module {name} has no function {function}, which the tasks need; give a HEAR module")

    def called(audio: Any) -> Any:
        try:
            return call(audio)
        except Exception as error:  # somebody else's module can raise anything
            raise ValueError(
                f"{function} of module {name} fails on {len(audio)} clips of {SECONDS} s ({audio.shape[1]} samples) of "
                f"noise ({first_line(error)}); correct the module to take clips of any length"
            ) from error

    return called


@contextmanager
def _no_cache(model: Any) -> Iterator[None]:
    """hear_multiview's cache of frames is off: it would answer in the model's place, and keep the noise."""
    cache = getattr(model, "cache", None)
    if type(cache).__module__ != "hear_multiview.frame_cache":
        yield
        return
    model.cache = None
    try:
        yield
    finally:
        model.cache = cache
