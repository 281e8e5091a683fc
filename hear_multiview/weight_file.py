"""What is wrong with a file that is not a weight file: not fetched by Git LFS, a web page, empty, or cut short."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

_AGAIN = "download it again"
#: Longest header that the format allows, in bytes.
_MAX_HEADER = 100_000_000


def check(path: Path) -> None:
    """Raise ValueError, with the cause and the way out, if ``path`` cannot be a weight file of any kind.

    A file that passes may still not be one; its reader has to check that.
    """
    if fault := _fault(path):
        raise ValueError(f"{path} {fault}")


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
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
