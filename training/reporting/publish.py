"""Upload a checkpoint and its card to a model repository on the Hugging Face Hub, in one commit."""

from __future__ import annotations

import shutil
from pathlib import Path

from jinja2 import UndefinedError

from hear_multiview import checkpoint, hub
from sonyc_tasks.files import file_digest, is_empty, replace_folder
from sonyc_tasks.tasks.temporary_folder import build_dir
from training.reporting.model_card import published_card

CARD = "README.md"


def publish(path: Path, repo: str, *, private: bool = False, dry_run: Path | None = None) -> str:
    """Upload a checkpoint to a model repository, which is created if it does not exist.

    Args:
        path: the checkpoint.
        repo: ``org/name``.
        private: make the repository private; an existing public one is refused.
        dry_run: a new or empty folder to write the two files into instead of uploading them.

    Returns:
        Where the files are: the repository's address, or the folder.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is not a checkpoint, or does not say how it was trained; ``repo`` is not a name; the folder is
            not empty; huggingface_hub is missing, or the upload is refused or fails.
    """
    if not hub.NAME.fullmatch(repo):
        raise ValueError(f"{repo!r} is not the name of a repository; give org/name")
    saved = checkpoint.load(path)
    try:
        card = published_card(saved, file_digest(path), repo)
        card.encode()  # JSON can hold half a character
    except (KeyError, TypeError, ValueError, AttributeError, UndefinedError) as error:
        raise ValueError(
            f"checkpoint {path} does not say how it was trained (in its card: {error!r:.120}); publish one that "
            "`python -m training pretrain` wrote"
        ) from error
    if dry_run is None:
        return _upload(path, card, repo, private)
    _write(path, card, dry_run)
    return str(dry_run)


def _write(path: Path, card: str, folder: Path) -> None:
    """Write ``folder`` with both files, whole or not at all."""
    if not is_empty(folder):
        raise ValueError(f"{folder} is not an empty folder; give an empty or a new one")
    with build_dir(folder) as work:
        (new := work / "new").mkdir()
        shutil.copyfile(path, new / hub.FILE)
        (new / CARD).write_text(card, encoding="utf-8")
        replace_folder(new, folder)


def _upload(path: Path, card: str, repo: str, private: bool) -> str:
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError:
        raise ValueError(
            "publishing needs huggingface_hub; run `pip install huggingface_hub`, or write the files with --dry-run"
        ) from None
    api = HfApi()
    try:
        # None, not False: an organisation's own default is then kept.
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        # The Hub ignores the wish for a repository that exists.
        public = private and not api.model_info(repo).private
        if not public:
            files = [CommitOperationAdd(CARD, card.encode()), CommitOperationAdd(hub.FILE, str(path))]
            api.create_commit(repo, files, commit_message="Checkpoint and card, by python -m training publish")
    except Exception as error:  # besides its own errors, those of its HTTP library, which differs between its versions
        raise ValueError(_why(repo, error)) from error
    if public:
        raise ValueError(
            f"the repository {repo} exists and is public; make it private on its page, or leave --private out"
        )
    return str(address)


def _why(repo: str, error: Exception) -> str:
    """What went wrong, and the way out."""
    from huggingface_hub import constants, errors

    host, reason = constants.ENDPOINT, hub.first_line(error)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{repo} cannot be uploaded while HF_HUB_OFFLINE is set; unset it, or write the files with --dry-run"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
        return (
            f"{host} does not let you write to {repo} ({reason}); log in with `hf auth login` or set HF_TOKEN, with a "
            "token that may write there"
        )
    return f"{repo} could not be uploaded to {host} ({reason}); try again, or write the files with --dry-run"
