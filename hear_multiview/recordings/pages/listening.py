"""A page to listen to what a search has found: one file that holds its sounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from hear_multiview.audio import loudness
from hear_multiview.files import first_line
from hear_multiview.recordings.places import Stretch
from hear_multiview.recordings.search import Hit
from hear_multiview.recordings.table import Table
from sonyc_tasks.dataset.audio import cancelling
from sonyc_tasks.files import write_atomic
from sonyc_tasks.page import render
from sonyc_tasks.page.sound import encode

#: Hz and seconds of a sound in the page.
SAMPLE_RATE, MAX_SECONDS = 44_100, 30.0


def write_listening_page(out: Path, table: Table, query: Stretch, hits: Sequence[Hit], view: str) -> None:
    """Write the page, whole or not at all.

    Args:
        out: the page.
        table: where the hits are from.
        query: what was searched for.
        hits: what was found.
        view: the view that was compared.

    Raises:
        ValueError: a recording is missing or cannot be read.
    """
    found = [(hit, Stretch.of_row(table, hit.row)) for hit in hits]
    page = render(
        Path(__file__).with_name("listening.html.j2"),
        title=f"What is like {query.file.name}",
        about=[
            f"The {len(hits)} nearest rows of {table.file.name} by cosine similarity in the view {view}. You hear the "
            f"first {MAX_SECONDS:g} seconds of each, in mono, at −24 LUFS, compressed."
        ],
        query=(str(query.file), query.seconds, excerpt(query)),
        hits=[(table.paths[hit.row], stretch.seconds, excerpt(stretch), hit.similarity) for hit, stretch in found],
    )
    write_atomic(out, page)


def excerpt(stretch: Stretch) -> str:
    """The first `MAX_SECONDS` of a stretch of a recording, at −24 LUFS, as a data address.

    Raises:
        ValueError: the file is missing or cannot be read, or ends before the stretch begins.
    """
    path, length = stretch.file, min(stretch.end - stretch.start, MAX_SECONDS)
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(round(stretch.start * rate))
            samples = file.read(round(length * rate), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read ({first_line(error)}); leave --play out, or bring it back") from error
    if not len(samples):
        raise ValueError(f"{path} ends before {stretch.start:g} s; embed it again")
    kept = cancelling(samples)
    mono = samples.mean(axis=1) if kept is None else samples[:, kept]
    mono = soxr.resample(np.ascontiguousarray(mono), rate, SAMPLE_RATE, quality="HQ")
    gain = loudness.gains(torch.from_numpy(mono)[None], SAMPLE_RATE)[0].numpy()
    return encode(mono * gain, SAMPLE_RATE)
