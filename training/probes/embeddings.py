"""Scene embeddings of clips, as heareval leaves them: a NumPy file a clip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

_AGAIN = "delete the folder of its task and embed it again"


def read_embeddings(files: Iterable[Path]) -> np.ndarray:
    """The embeddings in ``files``, float [clip, dim].

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is damaged, holds no finite embedding, or one of another size than the first.
    """
    rows: list[np.ndarray] = []
    for file in files:
        try:
            row = np.load(file)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"the embedding {file} is not there: {_AGAIN}") from error
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"the embedding {file} is damaged ({error}): {_AGAIN}") from error
        if not isinstance(row, np.ndarray) or row.ndim != 1 or not np.issubdtype(row.dtype, np.floating):
            raise ValueError(f"{file} is no scene embedding, a list of numbers: {_AGAIN}")
        if not np.isfinite(row).all():
            raise ValueError(f"the embedding {file} is not finite: mend the model, {_AGAIN}")
        if rows and row.shape != rows[0].shape:
            raise ValueError(
                f"the embedding {file} has {len(row)} dimensions, others of its folder {len(rows[0])}: {_AGAIN}"
            )
        rows.append(row)
    return np.stack(rows)
