"""Weights of descript-audio-codec: found, downloaded, checked, and loaded as tensors only, never as pickled code."""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hear_multiview import weight_file
from hear_multiview.files import file_digest, first_line, held
from hear_multiview.frontends.dac import encoder as codec_encoder
from hear_multiview.frontends.dac.download import download

#: The arguments in the official 44.1 kHz 8 kbps file, which ``dac_44khz`` requires.
OFFICIAL = {
    "encoder_dim": 64,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_dim": 1536,
    "decoder_rates": [8, 8, 4, 2],
    "n_codebooks": 9,
    "codebook_size": 1024,
    "codebook_dim": 8,
    "sample_rate": 44_100,
}
URL = "https://github.com/descriptinc/descript-audio-codec/releases/download/0.0.1/weights.pth"
#: Where descript-audio-codec itself keeps the file, so that a machine that has used the codec needs no second copy.
CACHE = Path.home() / ".cache" / "descript" / "dac" / "weights_44khz_8kbps_0.0.1.pth"
BUNDLE = Path(__file__).parents[2] / "bundled" / "demo_codec.safetensors"
HOP = 512


@dataclass(frozen=True)
class CodecWeights:
    """The encoder's tensors (named as in ``dac.DAC.encoder``), the codec's arguments, and the file's sha256."""

    arguments: dict[str, Any]
    encoder: dict[str, Tensor]
    digest: str

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return int(self.arguments["sample_rate"])

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.arguments["encoder_rates"])

    @property
    def dim(self) -> int:
        """Dimensions of a latent frame."""
        rates = self.arguments["encoder_rates"]
        return int(self.arguments.get("latent_dim") or self.arguments["encoder_dim"] * 2 ** len(rates))


def cached_or_downloaded() -> Path:
    """The official weight file in the codec's cache, downloaded if it is missing.

    Raises:
        ValueError: it is missing and cannot be fetched; the message says what to do without a network.
    """
    if not CACHE.exists():
        try:
            with held(CACHE.with_name(f".{CACHE.name}.lock"), CACHE):
                if not CACHE.exists():  # nobody else has fetched it in the meantime
                    download(URL, CACHE, what="descript-audio-codec weights, 44.1 kHz 8 kbps", check=weight_file.check)
        except OSError as error:
            raise ValueError(
                f"the 44.1 kHz codec weights are not in {CACHE} and could not be downloaded from {URL} ({error}); "
                "download the file elsewhere and give it as frontend_weights, or use frontend='demo'"
            ) from error
    return CACHE


def read_dac(path: Path, *, official: bool) -> CodecWeights:
    """Read ``path`` in descript-audio-codec's format: what ``dac.DAC.save(path, package=False)`` writes.

    Args:
        path: the file.
        official: require the arguments of the official 44.1 kHz 8 kbps model; otherwise only its sample rate and hop.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, an incomplete one, or one of another model; the message names what differs.
    """
    stored = _load_tensors(path)
    try:
        arguments = dict(stored["metadata"]["kwargs"])
        state: dict[str, Tensor] = stored["state_dict"]
        weights = CodecWeights(arguments, _encoder_part(state), file_digest(path))
        expected = codec_encoder.shapes(arguments["encoder_dim"], arguments["encoder_rates"], weights.dim)
        found = {name: tuple(tensor.shape) for name, tensor in weights.encoder.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a descript-audio-codec weight file, it lacks state_dict or metadata.kwargs ({error}); give "
            "one that dac.DAC.save(path, package=False) wrote"
        ) from error
    odd = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if odd:
        raise ValueError(
            f"{path} does not hold the encoder that its own arguments describe, {len(odd)} tensors differ, first "
            f"{odd[0]} (expected {expected.get(odd[0], 'absent')}, found {found.get(odd[0], 'absent')}); save it again"
        )
    if fault := weight_file.not_finite(weights.encoder):
        raise ValueError(f"{path} is damaged, {fault}; download it again")
    required = OFFICIAL if official else {"sample_rate": OFFICIAL["sample_rate"]}
    for name, value in required.items():
        if arguments.get(name) != value:
            hint = "use frontend='demo'" if official and name != "sample_rate" else "give another codec"
            raise ValueError(f"{path} is a codec with {name} {arguments.get(name)}, not {value}; {hint}")
    if weights.hop != HOP:
        raise ValueError(f"{path} is a codec with {weights.hop} samples per frame, not {HOP}; give another codec")
    return weights


def read_bundle(path: Path = BUNDLE) -> CodecWeights:
    """The encoder of the bundled small codec: half-precision safetensors, which hold the codec's arguments as JSON."""
    try:
        weight_file.check(path)
        with safe_open(path, framework="pt") as file:
            arguments = json.loads(file.metadata()["codec"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the bundled codec {path} is damaged ({error}); install the package again") from error
    return CodecWeights(arguments, tensors, file_digest(path))


def bundle_note(path: Path = BUNDLE) -> str:
    """How the bundled codec was trained, in its own words."""
    with safe_open(path, framework="pt") as file:
        return str(file.metadata()["note"])


def is_dac_file(path: Path) -> bool:
    """Whether ``path`` looks like codec weights; only for an error message."""
    try:
        return {"state_dict", "metadata"} <= set(_load_tensors(path))
    except (ValueError, OSError):
        return False


def _load_tensors(path: Path) -> dict[str, Any]:
    """The dictionary in a torch file, read with torch's unpickler for tensors and plain containers only."""
    if not path.is_file():
        raise FileNotFoundError(f"codec weight file {path} does not exist; give the path of one that does")
    weight_file.check(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/.data/extern_modules") for name in archive.namelist()):
                raise ValueError(
                    f"{path} is a torch.package, which holds code and is not loaded; save the weights with "
                    "dac.DAC.save(path, package=False)"
                )
        if (part := weight_file.compressed_part(path)) is not None:
            raise ValueError(f"{path} has a compressed part {part!r}, as torch never writes it; do not use this file")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch's unpickler may fail in any way on another kind of file
        size = os.path.getsize(path) / 1e6
        raise ValueError(
            f"{path} ({size:.1f} MB) cannot be read as codec weights, it is truncated, holds more than tensors, or is "
            f"another kind of file ({first_line(error)}); give another file"
        ) from error
    if not isinstance(stored, dict):
        raise ValueError(
            f"{path} is not a descript-audio-codec weight file, it holds a {type(stored).__name__}; give another file"
        )
    return stored


def _encoder_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "encoder."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
