"""Recordings to a table of embeddings: what ``python -m hear_multiview embed`` does.

The table grows: recordings that it holds and whose content is the same are not embedded again, those of other calls
stay, and those whose content has changed are replaced. Rows are kept in `Parts` until all are there; then the table is
written at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hear_multiview import __version__, hub
from hear_multiview.api import BUNDLED, load_model
from hear_multiview.device import usable_device
from hear_multiview.embedder import Embedder
from hear_multiview.files import file_digest, held, sweep
from hear_multiview.recordings import processes
from hear_multiview.recordings.embed import WORKERS, Division, Kept, Piece, embed_each
from hear_multiview.recordings.parts import Parts, require_same_settings
from hear_multiview.recordings.reading import find_recordings
from hear_multiview.recordings.table import (
    GROUP_ROWS,
    Rows,
    Table,
    check_format,
    companions,
    finish_table,
    open_table,
    write_table,
)
from sonyc_tasks.dataset.audio import duration

log = logging.getLogger(__name__)

#: Packages whose versions a table names, besides this one's, which has to stay the same.
PACKAGES = ("torch", "numpy", "soundfile", "soxr")


@dataclass(frozen=True)
class Summary:
    """What became of the recordings.

    Attributes:
        embedded, kept: how many were embedded now, and how many had been before.
        broken: those that cannot be embedded, with the reason, a sentence each; only in the first process.
        rows: of the table.
    """

    embedded: int
    kept: int
    broken: dict[str, str]
    rows: int


def embed_table(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    model: str = "",
    view: str = "joint",
    precision: str = "fp32",
    device: str = "cpu",
    division: Division | None = None,
    workers: int = WORKERS,
    skip_errors: bool = False,
) -> Summary:
    """Write or extend a table of embeddings.

    Args:
        paths: files, and folders that are searched for them.
        out: the table; its suffix is its format.
        model, view, precision: see `hear_multiview.load_model`.
        device: cpu or cuda.
        division: what a row is; None is a whole file.
        workers: threads that read recordings.
        skip_errors: leave out recordings that cannot be embedded, instead of raising.

    A second call for the same table waits for the first, and then continues with what that has written.

    Returns:
        What became of the recordings, of all processes.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a recording cannot be embedded, an option cannot be used, or the table was made with others.
    """
    out = Path(out)
    check_format(out)
    division = division or Division()
    found = find_recordings(paths)
    processes.connect()
    with ExitStack() as stack:
        stack.callback(processes.disconnect)
        embedder = load_model(model, view=view, precision=precision)
        settings = _settings(embedder, model, division)
        if processes.rank() == 0:
            stack.enter_context(held(out.with_name(f".{out.name}.lock"), out))
            sweep(out.parent)  # here, as where nothing is left to do, nothing is written
        processes.gathered(None)  # nobody looks at the table before the first process may write it
        old = _existing(out, settings)
        embedder.to(usable_device(processes.own_device(device)))
        stored = _Stored(old)
        with Parts(out.with_name(f"{out.name}.parts"), settings["dim"], settings) as parts:
            mine = found[processes.rank() :: processes.world_size()]
            run = _Run(embedder, division, workers, stored, parts, skip_errors)
            state = processes.gathered(run.embed(mine))
            if processes.world_size() > 1:
                parts.refresh()
            digests = {path: digest for one in state for path, digest in one.digests.items()}
            broken = {path: reason for one in state for path, reason in one.broken.items()}
            rows = 0
            if processes.rank() == 0:
                order = _order(old, found, digests, broken)
                versions = {name: version(name) for name in PACKAGES}
                rows = _write(out, order, stored, parts, {"model": model, **settings, "versions": versions})
        processes.gathered(None)
        if processes.rank() == 0:
            parts.remove()
        else:
            broken = {}
    return Summary(sum(one.embedded for one in state), sum(one.kept for one in state), broken, rows)


@dataclass
class _State:
    """What a process has done."""

    digests: dict[str, str]
    broken: dict[str, str]
    embedded: int = 0
    kept: int = 0


@dataclass(frozen=True)
class _Run:
    """The work of one process."""

    model: Embedder
    division: Division
    workers: int
    stored: _Stored
    parts: Parts
    skip_errors: bool

    def embed(self, paths: list[str]) -> _State:
        """Embed ``paths`` into the parts."""
        state, lengths = _State({}, {}), {path: _seconds(path) for path in paths}
        with _progress(sum(lengths.values())) as bar:
            for item in embed_each(paths, self.model, self.division, workers=self.workers, known=self._known):
                if isinstance(item, Piece):
                    self._take(item, state)
                    bar.update(min(item.advance, (bar.total or 0) - bar.n))  # headers are not always exact
                    continue
                bar.total = (bar.total or 0) - lengths[item.path]
                if isinstance(item, Kept):
                    state.digests[item.path] = item.sha256
                    state.kept += 1
                    continue
                self.parts.drop()
                if not self.skip_errors:
                    raise ValueError(f"{item.reason} (with --on-error skip, all others are embedded nevertheless)")
                state.broken[item.path] = item.reason
        return state

    def _take(self, piece: Piece, state: _State) -> None:
        if len(piece.rows.start):
            self.parts.append(piece.rows)
        if piece.last:
            self.parts.finish(piece.recording.sha256)
            state.digests[piece.recording.path] = piece.recording.sha256
            state.embedded += 1

    def _known(self, sha256: str) -> bool:
        return sha256 in self.stored or sha256 in self.parts.done


class _Stored:
    """The rows of the table that is there, by the content of recordings."""

    def __init__(self, table: Table | None) -> None:
        self.table = table
        self._places: dict[str, tuple[int, int]] = {}
        start = 0
        for (_, sha256), rows in groupby(zip(table.paths, table.sha256, strict=True) if table else ()):
            stop = start + sum(1 for _ in rows)
            self._places.setdefault(sha256, (start, stop))
            start = stop

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._places

    def count(self, sha256: str) -> int:
        """How many rows a recording has."""
        start, stop = self._places[sha256]
        return stop - start

    def rows(self, path: str, sha256: str) -> Iterator[Rows]:
        """Its rows, in parts of bounded size, for the recording called ``path``."""
        assert self.table is not None
        begin, end = self._places[sha256]
        for start in range(begin, end, GROUP_ROWS):
            part = slice(start, min(start + GROUP_ROWS, end))
            embeddings = self.table.rows(part.start, part.stop)
            yield Rows(path, sha256, self.table.start[part], self.table.end[part], embeddings)


def _settings(model: Embedder, address: str, division: Division) -> dict[str, Any]:
    """What rows depend on, apart from the recording."""
    front = model.frontend
    return {
        "checkpoint_sha256": file_digest(hub.local(address) if address else BUNDLED),
        "frontend": front.name,
        "frontend_sha256": front.digest,
        "view": model.view,
        "precision": front.precision,
        "sample_rate": model.sample_rate,
        "kind": division.kind,
        "window": division.window,
        "hop": division.hop,
        "dim": model.timestamp_embedding_size if division.kind == "frame" else model.scene_embedding_size,
        "version": __version__,
    }


def _existing(out: Path, settings: Mapping[str, Any]) -> Table | None:
    """The table that is there, if it was made with the same settings."""
    finish_table(out)
    if not out.exists():
        if others := [path for path in companions(out) if path.exists()]:
            raise ValueError(f"{others[0]} would be overwritten, and is of no table {out}; give another --out")
        return None
    table = open_table(out)
    require_same_settings(table.metadata, settings, f"the table {out}", "give another --out, or delete it")
    return table


def _seconds(path: str) -> float:
    """The length of a recording as its header has it; 0 if it has none, which is said when it is read."""
    try:
        return duration(path)
    except ValueError:
        return 0.0


def _progress(seconds: float) -> tqdm:
    """A bar that counts seconds of audio; only of the first process, and only in a terminal."""
    form = "{percentage:3.0f}% |{bar}| {n:,.0f} of {total:,.0f} s of audio, {elapsed} so far, {remaining} left"
    disable = True if processes.rank() else None
    return tqdm(total=seconds, bar_format=form, disable=disable, dynamic_ncols=True)


def _order(
    old: Table | None, found: list[str], digests: Mapping[str, str], broken: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Path and sha256 of every recording of the new table: those of the old one first, in its order."""
    order = dict(zip(old.paths, old.sha256, strict=True)) if old else {}
    order |= {path: digests[path] for path in found if path in digests}
    return [(path, digest) for path, digest in order.items() if path not in broken]


def _write(out: Path, order: list[tuple[str, str]], stored: _Stored, parts: Parts, metadata: Mapping[str, Any]) -> int:
    """Join all rows into the table; return how many there are."""

    def rows() -> Iterator[Rows]:
        for path, sha256 in order:
            yield from (stored if sha256 in stored else parts).rows(path, sha256)

    if (old := stored.table) is not None and order == list(dict.fromkeys(zip(old.paths, old.sha256, strict=True))):
        return len(old)
    counts = [stored.count(digest) if digest in stored else parts.done[digest].rows for _, digest in order]
    write_table(out, rows(), total=sum(counts), dim=metadata["dim"], metadata=metadata)
    return sum(counts)
