"""One file over HTTP: resumed by byte range, with a progress bar, moved into place only when complete."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

from hear_multiview.files import sync


def download(
    url: str, path: Path, *, what: str, check: Callable[[Path], object] = lambda _: None, timeout: float = 30.0
) -> None:
    """Fetch ``url`` to ``path``; an interrupted transfer is kept next to it as ``.part``, and the next call resumes it.

    Args:
        url: of the file.
        path: where it goes.
        what: what the progress bar calls it.
        check: called with the transferred file before it is moved to ``path``; the file is deleted if it raises
            ValueError.
        timeout: in seconds, for an answer.

    Raises:
        OSError: the server cannot be reached, refuses, sends fewer bytes than it announced, or sends something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:  # 416: we have all of it already, or the beginning of something else
            raise
        part.unlink()
        return download(url, path, what=what, check=check, timeout=timeout)
    with response:
        if have and response.status != 206:  # the server sends the whole file again
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(desc=f"downloading {what}", total=total, initial=have, unit="B", unit_scale=True) as bar,
        ):
            try:
                while block := response.read(1 << 18):
                    file.write(block)
                    bar.update(len(block))
            except HTTPException as error:  # a chunked transfer that ends too early
                raise OSError(f"the transfer broke off ({error!r}); try again to resume it") from error
    size = part.stat().st_size
    if total is not None and size != total:
        raise OSError(f"the transfer ended after {size} of {total} bytes; try again to resume it")
    try:
        check(part)
    except ValueError as error:
        part.unlink()
        raise OSError(f"the server sent something else: {error}") from error
    sync(part)
    part.replace(path)
