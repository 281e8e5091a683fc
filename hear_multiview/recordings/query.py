"""A recording, embedded as the rows of a table were.

torch is imported only where a model is needed: it takes seconds and 0.6 GB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hear_multiview.files import file_digest
from hear_multiview.recordings.search import view_columns
from hear_multiview.recordings.table import Table


def columns_for(table: Table, view: str, model: str | None = None) -> slice:
    """The columns of ``table`` that hold ``view``.

    Args:
        table: the table.
        view: its own view, or a part of a joint one; then the checkpoint says which columns it has.
        model: where the table's checkpoint is now; None is where it was.

    Raises:
        FileNotFoundError: the checkpoint is not there.
        ValueError: the table does not have that view, or the checkpoint is another one than the table's.
    """
    if view == table.metadata["view"]:
        return slice(None)
    if table.metadata["view"] != "joint":
        return view_columns(table, view, {})
    from hear_multiview import checkpoint
    from hear_multiview.encoders.pooling import pooled_sizes

    encoder = checkpoint.load(_checkpoint(table, model)).encoder()
    of_frames = table.metadata["kind"] == "frame"
    return view_columns(table, view, encoder.parts if of_frames else pooled_sizes(encoder.parts, encoder.pools))


def embed_query(table: Table, view: str, file: Path, model: str | None = None) -> tuple[np.ndarray, float]:
    """Embed a whole recording by the model that made ``table``.

    Args:
        table: the table.
        view: the view to embed it in.
        file: the recording.
        model: where the table's checkpoint is now; None is where it was.

    Returns:
        float32 [dim] of that view, and the length of the recording in seconds.

    Raises:
        FileNotFoundError: the checkpoint is not there.
        ValueError: the recording cannot be read, or the checkpoint or the front end is another one than the table's.
    """
    from hear_multiview.api import load_model
    from hear_multiview.recordings.embed import embed

    if file.is_dir():
        raise ValueError(f"{file} is a folder; give one recording")
    made = table.metadata
    _checkpoint(table, model)
    # A row of one frame is compared with the mean of the recording's frames, which is of its size.
    pool = "mean" if made["kind"] == "frame" else None
    embedder = load_model(_address(table, model), view=view, precision=made["precision"], pool=pool)
    if embedder.frontend.digest != made["frontend_sha256"]:
        raise ValueError(
            f"{table.file} was made with {made['frontend']} weights of sha256 {made['frontend_sha256'][:12]}…, and "
            f"those found have {embedder.frontend.digest[:12]}…; bring them back, or embed the recordings again"
        )
    (rows,) = embed(file, embedder)
    return rows.embeddings[0], float(rows.end[0])


def _address(table: Table, model: str | None) -> str:
    """Path or address of the checkpoint that made ``table``; empty for the bundled one."""
    return str(table.metadata["model"] if model is None else model)


def _checkpoint(table: Table, model: str | None) -> Path:
    """The file of the checkpoint that made ``table``."""
    from hear_multiview import hub
    from hear_multiview.api import BUNDLED

    made = table.metadata
    source = _address(table, model)
    file = hub.local(source) if source else BUNDLED
    if not file.is_file():
        raise FileNotFoundError(f"checkpoint {file} of {table.file} does not exist; give its place as --model")
    if (digest := file_digest(file)) != made["checkpoint_sha256"]:
        raise ValueError(
            f"checkpoint {file} has sha256 {digest[:12]}…, and {table.file} was made by one with "
            f"{made['checkpoint_sha256'][:12]}…; give that one as --model, or embed the recordings again"
        )
    return file
