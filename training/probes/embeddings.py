"""Read the scene embeddings that heareval writes: one NumPy file per clip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

_REMEDY = "delete the folder of its task and embed the task again"


def read_embeddings(files: Iterable[Path]) -> np.ndarray:
    """Read and stack scene embeddings.

    Args:
        files: one ``.npy`` file per clip, each float [dim].

    Returns:
        The embeddings in the order of ``files``, float [clip, dim].

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, does not contain one finite embedding, or has another size than the first.
    """
    rows: list[np.ndarray] = []
    for file in files:
        try:
            row = np.load(file)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"the embedding {file} is missing; {_REMEDY}") from error
        except Exception as error:  # on another kind of file, NumPy can raise anything
            raise ValueError(f"the embedding {file} is damaged ({error}); {_REMEDY}") from error
        if not isinstance(row, np.ndarray) or row.ndim != 1 or not np.issubdtype(row.dtype, np.floating):
            raise ValueError(f"{file} is not a scene embedding (a one-dimensional float array); {_REMEDY}")
        if not np.isfinite(row).all():
            raise ValueError(f"the embedding {file} is not finite; fix the model, then {_REMEDY}")
        if rows and row.shape != rows[0].shape:
            raise ValueError(f"the embedding {file} has {len(row)} dimensions, others have {len(rows[0])}; {_REMEDY}")
        rows.append(row)
    return np.stack(rows)
