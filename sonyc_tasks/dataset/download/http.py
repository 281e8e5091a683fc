"""One file over HTTP, of known size and md5: continued by byte range, checked as it comes in, moved in only when whole.

Stands beside ``hear_multiview.frontends.dac.download`` because neither package may import the other, and because that
one knows neither size nor md5 and leaves trying again to its caller.
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

# Seconds before each further try, when nothing has arrived since the last one.
PAUSES = (1.0, 5.0, 20.0, 60.0)

_TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 18
# Zenodo asks clients to say who they are, and limits anonymous libraries first.
_HEADERS = {"User-Agent": "sonyc_tasks"}
# Answers that another try can change: time-out, too many requests, and a server that is in trouble.
_PASSING = (408, 429, 500, 502, 503, 504)


class _Dropped(Exception):
    """A connection that broke; ``wait`` is how many seconds the server asked for before the next try."""

    def __init__(self, reason: object, wait: float = 0.0) -> None:
        super().__init__(str(reason))
        self.wait = wait


class _Refused(OSError):
    """An answer that another try will not change; ``code`` is HTTP's number for it."""

    def __init__(self, url: str, code: int, reason: str) -> None:
        super().__init__(f"{url} answers {code} {reason}; check the address of the record, or try again later")
        self.code = code


def read_json(url: str) -> Any:
    """The JSON document at ``url``.

    Raises ValueError for an address that is none and an answer that is not JSON, OSError where the server cannot be
    reached or refuses.
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
    except ValueError as error:
        raise ValueError(f"{url} does not answer with JSON; give the address of a record in Zenodo's API") from error


def fetch(url: str, path: str | Path, *, size: int, title: str) -> str:
    """Fetch the file of ``size`` bytes at ``url`` to ``path`` + ``.part`` and return its md5, in hexadecimal digits.

    A part that is there is continued, or replaced where the server sends the whole file again. ``title`` stands before
    the progress bar.

    Raises ValueError for a part of more bytes than the file, which is deleted; OSError where the server refuses, or the
    connection breaks again and again, with the part left for the next call.
    """
    part = _Part(part_of(path))
    most, failed = part.size, 0
    with tqdm(desc=title, total=size, initial=part.size, unit="B", unit_scale=True) as bar:
        while part.size < size:
            try:
                _continue(url, part, size, bar)
            except _Dropped as broken:
                if part.size > most:  # a long transfer may break often, as long as it gets on
                    most, failed = part.size, 0
                _pause(url, failed, broken, "run the command again, it goes on where it stopped")
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
    part.path.touch()  # a file of no bytes has not been opened
    return part.md5.hexdigest()


def part_of(path: str | Path) -> Path:
    """Where the unfinished transfer of ``path`` lies."""
    path = Path(path)
    return path.with_name(path.name + ".part")


def md5_of(path: Path) -> str:
    """The md5 of a file on disk, in hexadecimal digits."""
    return _Part(path).md5.hexdigest()


class _Part:
    """What has arrived of a file so far, and the md5 of that."""

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
    """One request for what is missing of a part, which is shorter than ``size``."""
    with _open(url, {"Range": f"bytes={part.size}-"} if part.size else {}) as response:
        if response.status != 206:  # the server knows no ranges and sends the whole file again
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
        raise ValueError(f"{url!r} is no address of a file on the web; give one that starts with https://")
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=_HEADERS | headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code not in _PASSING:
                raise _Refused(url, error.code, error.reason) from error
            asked = error.headers.get("Retry-After") or ""
            raise _Dropped(f"{error.code} {error.reason}", float(asked) if asked.isdecimal() else 0.0) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(getattr(error, "reason", error)) from error


def _read(response: http.client.HTTPResponse, size: int | None = None) -> bytes:
    """Bytes of the answer; what goes wrong here is the network's fault, unlike an error in writing them down."""
    try:
        return response.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(error) from error


def _pause(url: str, failed: int, broken: _Dropped, way_out: str) -> None:
    """Wait before the next try, after ``failed`` tries without any progress before this one; OSError if all failed."""
    if failed >= len(PAUSES):
        raise OSError(f"{url}: the connection broke {failed + 1} times in a row ({broken}); {way_out}") from broken
    time.sleep(max(PAUSES[failed], min(broken.wait, 120.0)))
