"""Checkpoints on the Hugging Face Hub: ``hf://org/name`` to a file in the cache of its own library, huggingface_hub.

Only one safetensors file of a model repository is fetched, tensors and a card; no code is run. The library's own
settings apply: HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hear_multiview.files import first_line

#: The one file that a model repository has to hold.
FILE = "checkpoint.safetensors"
#: Names of repositories that ``training publish`` and ``load_model`` accept.
NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)

# One slash is enough: pathlib makes hf:/org/name of hf://org/name.
_SCHEME = re.compile("hf:/{1,2}")
_REVISION = re.compile(r"\w[\w./-]*", re.ASCII)


def local(path: str | os.PathLike[str]) -> Path:
    """The file that ``path`` means: itself, or for an address on the Hub its copy in the cache, fetched if missing.

    Args:
        path: a file, or ``hf://org/name``, or ``hf://org/name@revision`` with a branch, tag or commit.

    Raises:
        ValueError: a malformed address, or a repository, revision or file that cannot be fetched; the message says why
            and what to do.
    """
    text = os.fspath(path)
    scheme = _SCHEME.match(text)
    return _fetch(text[scheme.end() :]) if scheme else Path(path)


def _fetch(address: str) -> Path:
    """The cached checkpoint of ``org/name`` or ``org/name@revision``."""
    repo, at, revision = address.partition("@")
    if not NAME.fullmatch(repo) or (at and not _REVISION.fullmatch(revision)) or ".." in address:
        raise ValueError(f"hf://{address} is not an address on the Hub; give hf://org/name or hf://org/name@revision")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise ValueError(
            f"hf://{address} needs huggingface_hub; run `pip install huggingface_hub`, or fetch {FILE} and give its "
            "path"
        ) from None
    try:
        return Path(hf_hub_download(repo, FILE, revision=revision or None))
    except Exception as error:  # its own errors and those of its HTTP library, which differs between versions
        raise ValueError(_why(repo, revision, error)) from error


def _why(repo: str, revision: str, error: Exception) -> str:
    """What went wrong, and what to do about it."""
    from huggingface_hub import constants, errors

    host, offline = constants.ENDPOINT, constants.HF_HUB_OFFLINE
    login = "log in with `hf auth login` or set HF_TOKEN"
    # Most specific first: the library derives some of these from others.
    if isinstance(error, errors.GatedRepoError):
        return f"the model repository {repo} is gated; ask for access at {host}/{repo}, then {login}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no model repository {repo} at {host}, or it is private; check the name, or {login}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the model repository {repo} has no revision {revision}; give a branch, tag or commit that exists"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        what = f"{FILE} of {repo}{revision and '@' + revision} is not in the cache {constants.HF_HUB_CACHE}"
        if offline:
            return f"{what} and HF_HUB_OFFLINE is set; unset it, or load the checkpoint once online"
        reason = first_line(error.__cause__ or error)
        return f"{what} and {host} cannot be reached ({reason}); connect, or give the path of a copy of the file"
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f"the model repository {repo} has no {FILE}; give one that `python -m training publish` wrote, or another "
            "revision"
        )
    return f"{FILE} of {repo} could not be fetched from {host} ({first_line(error)}); try again, or give a copy's path"
