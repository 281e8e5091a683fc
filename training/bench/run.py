"""The whole benchmark: its rows one after the other, and the table where the documents have it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from training.bench.cache import cache_rows
from training.bench.encoder import encoder_rows
from training.bench.gpu import gpu_rows
from training.bench.memory import memory_rows
from training.bench.pretraining import pretraining_rows
from training.bench.row import Row, table
from training.bench.startup import startup_rows
from training.bench.storage import storage_rows
from training.probes.heareval_jobs import cores

Family = Callable[[], list[Row]]
CPU: Mapping[str, Family] = {
    "start-up": startup_rows,
    "encoder": encoder_rows,
    "cache": cache_rows,
    "pretraining": pretraining_rows,
    "storage": storage_rows,
    "memory": memory_rows,
}
GPU: Mapping[str, Family] = {"gpu": gpu_rows}


def bench(out: Path | None, *, gpu: bool = False, families: Mapping[str, Family] | None = None) -> list[Row]:
    """Measure the ``families`` of rows (those of the CPU, or of the GPU), print each as it is known and all as a table,
    and put that into the document ``out`` between its markers.

    Raises:
        ValueError: ``out`` has no markers, or there is no GPU; before anything is measured.
    """
    name = "gpu" if gpu else "cpu"
    if out is not None:
        write_between(out, name, None)
    start, rows = time.monotonic(), list[Row]()
    families = families or (GPU if gpu else CPU)
    for number, (family, measure) in enumerate(families.items(), start=1):
        print(f"[{number}/{len(families)}] {family}, {time.monotonic() - start:.0f} s so far", flush=True)
        for row in measure():
            print(f"  {row}", flush=True)
            rows.append(row)
    text = f"{machine(gpu)}\n\n{table(rows)}"
    print(f"\n{text}")
    if out is not None:
        write_between(out, name, text)
        print(f"\nwritten to {out}")
    return rows


def machine(gpu: bool) -> str:
    """What the numbers hold for, in a sentence."""
    busy = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    where = torch.cuda.get_device_name() if gpu and torch.cuda.is_available() else f"{cores()} cores{busy}"
    return f"{platform.machine()}, {where}, torch {torch.__version__.split('+')[0]}, {time.strftime('%Y-%m-%d')}."


def write_between(path: Path, name: str, text: str | None) -> None:
    """Replace what stands in the file ``path`` between ``<!-- bench: name -->`` and ``<!-- end -->`` by ``text``; None
    only looks whether both are there.

    Raises:
        ValueError: they are not.
    """
    begin, end = f"<!-- bench: {name} -->", "<!-- end -->"
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    before, found, rest = whole.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{path} has no lines {begin} and {end} for the table to go between: give another file")
    if text is not None:
        part = path.with_suffix(".part")
        part.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
        part.replace(path)
