"""Run the benchmark and put its table into a document."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from sonyc_tasks.files import write_atomic
from sonyc_tasks.processes import cores
from training.bench.cache import cache_rows
from training.bench.encoder import encoder_rows, short_clips_rows
from training.bench.gpu import gpu_rows
from training.bench.memory import memory_rows
from training.bench.paper import paper_rows
from training.bench.pretraining import pretraining_rows
from training.bench.recordings import recordings_rows
from training.bench.row import Row, table
from training.bench.sampling import sampling_rows
from training.bench.separation import separation_rows
from training.bench.startup import startup_rows
from training.bench.storage import storage_rows

log = logging.getLogger(__name__)

Family = Callable[[], list[Row]]
CPU: Mapping[str, Family] = {
    "start-up": startup_rows,
    "encoder": encoder_rows,
    "short clips": short_clips_rows,
    "cache": cache_rows,
    "recordings": recordings_rows,
    "pretraining": pretraining_rows,
    "storage": storage_rows,
    "paper": paper_rows,
    "memory": memory_rows,
    "sampling": sampling_rows,
    "separation": separation_rows,
}
GPU: Mapping[str, Family] = {"gpu": gpu_rows}


def bench(out: Path | None, *, gpu: bool = False, families: Mapping[str, Family] | None = None) -> list[Row]:
    """Measure families of rows, and log each row as soon as it is measured, then the table.

    Args:
        out: document that gets the table between its markers; None only logs it.
        gpu: measure the families of the GPU instead of those of the CPU.
        families: measure these instead, by name.

    Returns:
        All rows.

    Raises:
        ValueError: ``out`` has no markers, or there is no GPU. Both are checked before anything is measured.
    """
    name = "gpu" if gpu else "cpu"
    if out is not None:
        write_between(out, name, None)
    start, rows = time.monotonic(), list[Row]()
    families = families or (GPU if gpu else CPU)
    for number, (family, measure) in enumerate(families.items(), start=1):
        log.info("[%d/%d] %s, %.0f s so far", number, len(families), family, time.monotonic() - start)
        for row in measure():
            log.info("  %s", row)
            rows.append(row)
    text = f"{machine(gpu)}\n\n{table(rows)}"
    log.info("\n%s", text)
    if out is not None:
        write_between(out, name, text)
        log.info("\nwritten to %s", out)
    return rows


def machine(gpu: bool) -> str:
    """Describe this machine in one line: processor or GPU, cores with their load, torch version, date."""
    busy = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    where = f"{processor()}, {cores()} cores{busy}"
    if gpu and torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    return f"{where}, torch {torch.__version__.split('+')[0]}, {time.strftime('%Y-%m-%d')}."


def processor() -> str:
    """Name the processor and which of the instructions it has that this project's speed depends on, as far as Linux
    tells; elsewhere its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in found.get("flags", "").split()]
    return " ".join((platform.machine(), found.get("model name", ""), *known)).strip()


def write_between(path: Path, name: str, text: str | None) -> None:
    """Replace the text of a file between ``<!-- bench: name -->`` and ``<!-- end -->``.

    Args:
        path: the file.
        name: the name in the first marker.
        text: the new text; None only checks that both markers exist.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- bench: {name} -->", "<!-- end -->"
    whole = path.read_text(encoding="utf-8") if path.exists() else ""
    before, found, rest = whole.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(
            f"{path} lacks the lines {begin} and {end}, between which the table goes; add them, or choose another file"
        )
    if text is not None:
        write_atomic(path, f"{before}{begin}\n{text}\n{end}{after}")
