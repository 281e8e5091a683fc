"""``python -m hear_multiview embed``: recordings in, a table of embeddings out."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from hear_multiview.recordings.command import Command

log = logging.getLogger(__name__)


def _arguments(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("recordings", metavar="RECORDING", nargs="+", help="audio files, and folders that are searched for them")
    option("--out", type=Path, required=True, metavar="TABLE", help="table to write: .parquet, .npy or .zarr")
    option("--view", default="joint", metavar="NAME", help="joint, private, shared, frontend, … (%(default)s)")
    option("--model", default="", metavar="PATH", help="a checkpoint, or hf://org/name (the bundled one)")
    option("--window", type=float, metavar="S", help="one row per window of this length, in seconds")
    option("--hop", type=float, metavar="S", help="from one window to the next (the window's length)")
    option("--frames", action="store_true", help="one row per frame of the model")
    option("--device", default="cpu", metavar="NAME", help="cpu or cuda (%(default)s)")
    option("--precision", default="fp32", metavar="NAME", help="fp32, or bf16 for a codec (%(default)s)")
    option("--workers", type=int, metavar="N", help="threads that read recordings (one per core, at most 4)")
    option(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="at a recording that cannot be read: stop at the first, or skip it and list it at the end (%(default)s)",
    )


def _run(options: argparse.Namespace) -> int:
    from hear_multiview.recordings.embed import WORKERS, Division
    from hear_multiview.recordings.embed_table import embed_table

    summary = embed_table(
        options.recordings,
        options.out,
        model=options.model,
        view=options.view,
        precision=options.precision,
        device=options.device,
        division=Division.of(options.window, options.hop, options.frames),
        workers=WORKERS if options.workers is None else options.workers,
        skip_errors=options.on_error == "skip",
    )
    log.info("%s has %d rows; embedded now: %d, before: %d", options.out, summary.rows, summary.embedded, summary.kept)
    if summary.broken:
        raise ValueError("left out: " + "\nleft out: ".join(summary.broken.values()))
    return 0


COMMAND = Command(
    "embed recordings",
    "Reads audio files of any format, rate and length and writes one row for each (or for each window or frame) with "
    "its path, start and end in seconds, and embedding. Recordings that the table holds already, by content, are "
    "not embedded again, and an interrupted run resumes. Several processes share the work: torchrun --nproc-per-node "
    "2 -m hear_multiview embed …",
    _arguments,
    _run,
)
