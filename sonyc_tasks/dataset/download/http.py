"""Download one file of known size over HTTP: resumed by byte range, hashed while it arrives.

Separate from ``hear_multiview.frontends.dac.download`` because neither package imports the other, and because that one
knows neither size nor md5 and leaves retries to its caller.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

# Seconds before each retry if nothing has arrived since the last one.
PAUSES = (1.0, 5.0, 20.0, 60.0)

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 18
# Zenodo asks clients to identify themselves, and throttles anonymous libraries first.
_HEADERS = {"User-Agent": "sonyc_tasks"}
# Answers that a retry can change: time-out, too many requests, and server errors.
_TRANSIENT = (408, 429, 500, 502, 503, 504)


class _Dropped(Exception):
    """A broken connection; ``wait`` is the number of seconds that the server asks for before a retry."""

    def __init__(self, reason: object, wait: float = 0.0) -> None:
        super().__init__(str(reason))
        self.wait = wait


class _Refused(OSError):
    """An answer that a retry will not change; ``code`` is its HTTP status."""

    def __init__(self, url: str, code: int, reason: str) -> None:
        super().__init__(f"{url} answers {code} {reason}; check the address of the record, or try again later")
        self.code = code


def read_json(url: str) -> Any:
    """Read the JSON document at ``url``.

    Raises:
        ValueError: ``url`` is not a web address, or the answer is not JSON.
        OSError: The server cannot be reached or refuses.
    """
    failed = 0
    while True:
        try:
            with _open(url, {"Accept": "application/json"}) as response:
                text = _read(response)
            break
        except _Dropped as broken:
            _pause(url, failed, broken, "try again later")
            failed += 1
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{url} does not answer with JSON; give the address of a record in Zenodo's API") from error


def fetch(url: str, path: str | Path, *, size: int, title: str) -> str:
    """Download a file to ``path`` + ``.part``.

    An existing part is resumed, or replaced if the server sends the whole file.

    Args:
        url: Address of the file.
        path: Its final path, to which the caller moves the part.
        size: Size of the file in bytes.
        title: Title of the progress bar.

    Returns:
        The md5 of the file, in hexadecimal.

    Raises:
        ValueError: The part is longer than the file; it is deleted.
        OSError: The server refuses, or the connection keeps breaking; the part is kept for the next call.
    """
    part = _Part(part_of(path))
    most, failed = part.size, 0
    with tqdm(desc=title, total=size, initial=part.size, unit="B", unit_scale=True) as bar:
        while part.size < size:
            try:
                _continue(url, part, size, bar)
            except _Dropped as broken:
                if part.size > most:  # a long transfer may break often, as long as it advances
                    most, failed = part.size, 0
                _pause(url, failed, broken, "run the command again to resume")
                failed += 1
            except _Refused as refused:
                if refused.code != 416:
                    raise
                part.path.unlink(missing_ok=True)
                raise ValueError(
                    f"{part.path} is longer than the file at {url} and was deleted; run the command again"
                ) from refused
    if part.size > size:
        part.path.unlink()
        raise ValueError(f"{part.path} is longer than the file's {size} bytes and was deleted; run the command again")
    part.path.touch()  # an empty file was never opened
    return part.md5.hexdigest()


def part_of(path: str | Path) -> Path:
    """Return the path of an unfinished download of ``path``."""
    path = Path(path)
    return path.with_name(path.name + ".part")


def md5_of(path: Path) -> str:
    """Compute the md5 of a file, in hexadecimal."""
    return _Part(path).md5.hexdigest()


class _Part:
    """The part of a file that has arrived, and its md5."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restart()
        if path.exists():
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    self.add(block)

    def restart(self) -> None:
        self.size = 0
        self.md5 = hashlib.md5(usedforsecurity=False)  # the only checksum that Zenodo gives

    def add(self, block: bytes) -> None:
        self.size += len(block)
        self.md5.update(block)


def _continue(url: str, part: _Part, size: int, bar: tqdm[Any]) -> None:
    """Request the rest of a part, which is shorter than ``size``."""
    with _open(url, {"Range": f"bytes={part.size}-"} if part.size else {}) as response:
        if response.status != 206:  # the server ignores ranges and sends the whole file
            part.restart()
            bar.reset(total=size)
        with part.path.open("ab" if part.size else "wb") as file:
            while part.size <= size and (block := _read(response, _BLOCK)):
                file.write(block)
                part.add(block)
                bar.update(len(block))
    if part.size < size:
        raise _Dropped(f"the transfer ended after {part.size} of {size} bytes")


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    if not url.startswith(("http://", "https://")):  # urllib would also read files of this machine
        raise ValueError(f"{url!r} is not a web address; give one that starts with https://")
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=_HEADERS | headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code not in _TRANSIENT:
                raise _Refused(url, error.code, error.reason) from error
            asked = error.headers.get("Retry-After") or ""
            raise _Dropped(f"{error.code} {error.reason}", float(asked) if asked.isdecimal() else 0.0) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(getattr(error, "reason", error)) from error


def _read(response: http.client.HTTPResponse, size: int | None = None) -> bytes:
    """Read the answer; errors here come from the network, unlike errors of writing to disk."""
    try:
        return response.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(error) from error


def _pause(url: str, failed: int, broken: _Dropped, way_out: str) -> None:
    """Wait before a retry, after ``failed`` earlier attempts without progress; OSError if all attempts failed."""
    if failed >= len(PAUSES):
        raise OSError(f"{url}: the connection broke {failed + 1} times in a row ({broken}); {way_out}") from broken
    time.sleep(max(PAUSES[failed], min(broken.wait, 120.0)))
