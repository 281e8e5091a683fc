"""What is wrong with a weight file: not fetched by Git LFS, a web page, empty, cut short; or made to do harm."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

_AGAIN = "download it again"
#: Longest header that the format allows, in bytes.
_MAX_HEADER = 100_000_000


def check(path: Path) -> None:
    """Raise ValueError, with the cause and the way out, if ``path`` cannot be a weight file of any kind.

    A file that passes may still not be one; its reader has to check that.
    """
    if fault := _fault(path):
        raise ValueError(f"{path} {fault}")


def require_fit(make: Callable[[], Any], tensors: Mapping[str, Tensor]) -> Any:
    """Compare a model with the tensors that are meant for it, before any memory is taken for it.

    What a file says of its model is not trusted: a width of a million would take terabytes.

    Args:
        make: makes the model.
        tensors: by name, as in the model's ``state_dict``.

    Returns:
        The model, on torch's meta device: everything of it but its numbers.

    Raises:
        ValueError: the model has other tensors, or a tensor holds NaN or infinity; the message names the first.
        TypeError, RuntimeError: there can be no such model.
    """
    with torch.device("meta"), _at_most(len(tensors)):
        model = make()
    described = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    held = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(described.keys() | held.keys()):
        if described.get(name) != held.get(name):
            raise ValueError(f"{name} is {held.get(name, 'absent')} instead of {described.get(name, 'absent')}")
    if fault := not_finite(tensors):
        raise ValueError(fault)
    return model


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Which of ``tensors`` holds NaN or infinity, in words; None if none does."""
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"{name} holds NaN or infinity"
    return None


def compressed_part(path: Path) -> str | None:
    """The first part of the zip archive ``path`` that is compressed, as torch never writes it; None if none is.

    A few kilobytes could otherwise fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # torch says what is wrong
    size = path.stat().st_size
    return next((part.filename for part in parts if part.compress_type or part.file_size > size), None)


@contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Raise ValueError where this thread gives modules more than ``count`` parameters inside the block."""
    thread, seen = threading.get_ident(), 0

    def one_more(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal seen
        seen += threading.get_ident() == thread
        if seen > count:
            raise ValueError(f"its description has more tensors than the {count} that it holds")

    hook = register_module_parameter_registration_hook(one_more)
    try:
        yield
    finally:
        hook.remove()


def _fault(path: Path) -> str | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(512)
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not beginning:
        return f"is empty; {_AGAIN}"
    if beginning.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"is a web page, such as an error or a log-in, not weights; {_AGAIN} and check the address"
    if not any(beginning):
        return f"begins with zeros, like an unfinished download; {_AGAIN}"
    if beginning.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path):
        return f"is cut short (the first {size} bytes of a zip archive, without its end); {_AGAIN}"
    whole = _safetensors_size(path, beginning)
    if whole is not None and size < whole:
        return f"is cut short ({size} of {whole} bytes); {_AGAIN}"
    return None


def _safetensors_size(path: Path, beginning: bytes) -> int | None:
    """How many bytes the safetensors file ``path`` should have by its own header, as far as the header is there; None
    for other files.

    The format: eight bytes with the length of the header, the header in JSON, the tensors at offsets that it gives
    (https://github.com/huggingface/safetensors#format).
    """
    header = int.from_bytes(beginning[:8], "little")
    if beginning[8:9] != b"{" or not 2 <= header <= _MAX_HEADER:
        return None
    with path.open("rb") as file:
        file.seek(8)
        content = file.read(header)
    if len(content) < header:
        return 8 + header
    try:
        tensors = [about for name, about in json.loads(content).items() if name != "__metadata__"]
        return 8 + header + max((int(about["data_offsets"][1]) for about in tensors), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
