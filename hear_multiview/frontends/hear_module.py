"""Any HEAR module as a front end: its timestamp embeddings are the frames.

The module gets each clip whole and unmodified, level included. What it does may depend on the whole clip, so memory
grows with the clip's length, as it does in the module. The frames lie where the module's own timestamps say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hear_multiview import weight_file
from hear_multiview.audio.streamed import Audio
from hear_multiview.files import file_digest, first_line
from hear_multiview.frontends.base import PREFIX

#: Length of the faint noise that shows how the module's frames are spaced; hearvalidator's is as long.
PROBE_SECONDS = 2
#: How far the spacing of two timestamps may be from the mean spacing, in milliseconds: hearvalidator's own limit.
TOLERANCE = 1e-3
#: How far the frames of repeated audio may differ, relative to their largest number: threads change the order of sums.
REPEATED = 1e-3


class HearModuleFrontEnd(nn.Module):
    """A frozen HEAR module. See `hear_multiview.frontends` for what a front end is.

    Attributes:
        name, sample_rate, digest, precision: as for every front end. The digest is of the module's name, the tensors
            of its model and the weight file; a change of the module's code alone does not show in it.
        hop: the spacing of the module's timestamps in samples, to 1 / 1000; not always a whole number.
        dim: of a frame. An odd number of dimensions gets one more, always 0, so that halves have equal sizes.
        model: what the module's ``load_model`` gave.
    """

    _device_anchor: Tensor

    def __init__(self, name: str, weights: Path | None = None, precision: str = "fp32") -> None:
        """Load a HEAR module and try it on faint noise.

        Args:
            name: `PREFIX` and a module's name.
            weights: what to give to the module's ``load_model``, if anything.
            precision: fp32 only.

        Raises:
            ValueError: the module cannot be imported or loaded, or is not a HEAR module for torch; its frames of noise
                are irregular, not in milliseconds, not finite, or differ when repeated; or ``weights`` cannot be a
                weight file.
            FileNotFoundError: ``weights`` does not exist.
        """
        super().__init__()
        if precision != "fp32":
            raise ValueError(f"front end {name} cannot run in {precision}, only codecs can; use precision='fp32'")
        if weights is not None and not weights.is_file():
            raise FileNotFoundError(
                f"weight file {weights} of front end {name} does not exist; give the path of one that does"
            )
        if weights is not None:
            weight_file.check(weights)
        self.name = name
        self.precision = precision
        self.padded = False  # which frames there are is for the module to say
        self.model = _loaded(name, _module(name).load_model, weights)
        self.requires_grad_(False).eval()
        self.register_buffer(
            "_device_anchor", torch.empty(0), persistent=False
        )  # the module may have no tensors at all
        self.sample_rate = int(self.model.sample_rate)  # type: ignore[arg-type]  # any attribute may be a Module
        self.digest = _digest(name, self.model, weights)  # before the first clip: a model may keep state
        probe = self._noise(PROBE_SECONDS * self.sample_rate)
        frames, times = self._embed(probe)
        spacing = _spacing(name, times)
        _require_milliseconds(name, times, spacing, self.sample_rate)
        _require_same(name, frames, self._embed(probe)[0])
        hop = round(spacing * self.sample_rate / 1000, 3)
        self.hop = int(hop) if hop.is_integer() else hop
        self.dim = frames.shape[2]

    def stream(self, audio: Audio) -> Iterator[tuple[Tensor, Tensor]]:
        """The module's timestamp embeddings of ``audio`` [clip, sample] in one piece, float32 [clip, frame, dim], and
        its own timestamps in milliseconds, float32 [frame] on the CPU.

        Raises:
            ValueError: the module fails, or returns no frames, frames of another shape than HEAR asks for, or numbers
                that are not finite.
        """
        yield self._embed(audio[:, :])

    def _embed(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Frames float32 [clip, frame, dim] where ``audio`` is, and their times float32 [frame] on the CPU."""
        seconds = f"{audio.shape[1] / self.sample_rate:.4g} s of audio"
        try:
            with torch.no_grad():
                frames, times = _module(self.name).get_timestamp_embeddings(audio, self.model)
        except Exception as error:  # someone else's module may fail in any way
            raise ValueError(
                f"front end {self.name} fails on {seconds} ({first_line(error)}); if it has a limit on length, give "
                "shorter clips, else use another module"
            ) from error
        if frames.ndim != 3 or len(frames) != len(audio) or times.shape != frames.shape[:2]:
            raise ValueError(
                f"front end {self.name} returns embeddings {tuple(frames.shape)} and timestamps {tuple(times.shape)} "
                f"for {len(audio)} clips, where HEAR asks for [clip, frame, dim] and [clip, frame]; correct the module"
            )
        if frames.shape[1] == 0:
            raise ValueError(f"front end {self.name} returns no frames for {seconds}; give longer audio")
        if not (torch.isfinite(frames).all() and torch.isfinite(times).all()):
            raise ValueError(
                f"front end {self.name} returns NaN or infinite numbers for {seconds}; leave such clips out, or use "
                "another module"
            )
        padded = nn.functional.pad(frames.to(audio.device, torch.float32), (0, frames.shape[2] % 2))
        return padded, times[0].to("cpu", torch.float32)

    def _noise(self, samples: int) -> Tensor:
        """Faint seeded noise [1, ``samples``] where the model is; some modules turn silence into NaN."""
        return 0.01 * torch.randn(1, samples, generator=torch.Generator().manual_seed(0)).to(self._device_anchor.device)


def _module(name: str) -> ModuleType:
    """The module that ``name`` names; looked up for every clip, since a copy of the front end does not hold it."""
    module_name = name.removeprefix(PREFIX)
    if not re.fullmatch(r"\w+(\.\w+)*", module_name):
        raise ValueError(f"front end {name!r} does not name a module; write {PREFIX} and a module as it is imported")
    try:
        module = import_module(module_name)
    except Exception as error:  # someone else's module may fail in any way
        raise ValueError(
            f"front end {name}: module {module_name} cannot be imported ({first_line(error)}); install it and what it "
            "needs, or add its folder to PYTHONPATH"
        ) from error
    needed = ("load_model", "get_timestamp_embeddings")
    if missing := [function for function in needed if not callable(getattr(module, function, None))]:
        raise ValueError(
            f"front end {name}: module {module_name} is not a HEAR module, it lacks {' and '.join(missing)}; name the "
            "module that has the functions of the HEAR API"
        )
    return module


def _loaded(name: str, load: Callable[..., Any], weights: Path | None) -> nn.Module:
    """The result of the module's ``load_model``, if that can be a front end."""
    try:
        model = load() if weights is None else load(str(weights))
    except Exception as error:  # as above
        source = "without a weight file" if weights is None else f"from {weights}"
        raise ValueError(
            f"front end {name} cannot be loaded {source} ({first_line(error)}); give the file that this module loads "
            "as frontend_weights, or nothing if it needs none"
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"front end {name}: load_model returns {type(model).__name__}, not torch.nn.Module; use a HEAR module for "
            "torch"
        )
    if not hasattr(model, "sample_rate"):
        raise ValueError(f"front end {name}: its model lacks sample_rate, which the HEAR API asks for; add it")
    return model


def _spacing(name: str, times: Tensor) -> float:
    """The mean spacing of ``times`` [frame], which must be regular, in their own unit."""
    steps = times.double().diff()
    mean = float(steps.mean()) if len(steps) else 0.0
    rounding = torch.finfo(times.dtype).eps * float(times.abs().max())  # above the tolerance in units finer than ms
    if mean <= 0 or (steps - mean).abs().max() > max(TOLERANCE, rounding):
        spaced = f" that are {steps.min():.4g} to {steps.max():.4g} ms apart" if len(steps) else ""
        raise ValueError(
            f"front end {name} returns {len(times)} timestamps{spaced} for {PROBE_SECONDS} s of noise; use a module "
            "with regular frames, as hearvalidator asks for"
        )
    return mean


def _require_milliseconds(name: str, times: Tensor, spacing: float, sample_rate: int) -> None:
    """Raise ValueError unless the frames of the probe reach from its beginning to its end, to within one frame.

    hearvalidator does not check this: it looks at the spacing alone, which is regular in any unit.
    """

    def fits(scale: float) -> bool:
        slack = spacing * scale + TOLERANCE
        return abs(float(times[0]) * scale) <= slack and abs(float(times[-1]) * scale - 1000 * PROBE_SECONDS) <= slack

    if fits(1):
        return
    units = {"seconds": 1000.0, "samples": 1000 / sample_rate}
    unit = next((f" (these are {unit})" for unit, scale in units.items() if fits(scale)), "")
    raise ValueError(
        f"front end {name} returns timestamps from {float(times[0]):.4g} to {float(times[-1]):.4g}{unit} for "
        f"{PROBE_SECONDS} s of audio, where HEAR asks for milliseconds; correct the module's timestamps"
    )


def _require_same(name: str, frames: Tensor, again: Tensor) -> None:
    """Raise ValueError if the same audio got different frames the second time."""
    if frames.shape != again.shape or (frames - again).abs().max() > REPEATED * frames.abs().max():
        raise ValueError(
            f"front end {name} returns different embeddings when the same audio is repeated, as dropout does in train "
            "mode; use a module that is deterministic"
        )


def _digest(name: str, model: nn.Module, weights: Path | None) -> str:
    """The sha256 of the name, of every tensor of the model with its name, and of the weight file, in hexadecimal."""
    digest = hashlib.sha256(name.encode())
    for key, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"\n{key} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    if weights is not None:
        digest.update(f"\nfile {file_digest(weights)}".encode())
    return digest.hexdigest()
