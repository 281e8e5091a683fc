"""Many clips and many calls: memory stays bounded, and time grows with the number. ``make load`` takes 20,000 clips."""

from __future__ import annotations

import csv
import ctypes
import gc
import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import hear_multiview
from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS

CLIPS, CALLS = int(os.environ.get("LOAD_CLIPS", "160")), int(os.environ.get("LOAD_CALLS", "60"))
#: Whether enough is done for seconds and bytes to mean something.
MEASURED = CLIPS >= 4000
SENSORS = 8
SPLIT = {"train": [0, 1, 2, 3], "valid": [4], "probe": [5, 6, 7]}
STEPS = ("check", "latents", "pretrain", "build")
#: One step in a process of its own, which says how long it took after the imports, and its most memory.
STEP = """
import json, resource, sys, time
from dataclasses import replace
from pathlib import Path
import sonyc_tasks.__main__, training.__main__
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.recipes import recipe_named

step, folder = sys.argv[1], Path(sys.argv[2])
data, split, store = str(folder / "data"), str(folder / "split.json"), folder / "store"
start = time.perf_counter()
if step == "pretrain":
    recipe = replace(recipe_named("multiview_cosine_private_sample"), epochs=1)
    status = pretrain(recipe, LatentStore(store), folder / "runs") is None
elif step == "latents":
    options = [data, "--store", str(store), "--frontend", "log_mel_16k", "--split", split]
    status = training.__main__.main([step, *options])
else:
    options = ["--tasks-dir", str(folder / "tasks"), "--split", split, "--sample-rate", "8000"] * (step == "build")
    status = sonyc_tasks.__main__.main([step, data, *options])
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
sys.exit(status)
"""


def write_clips(root: Path, clips: int) -> None:
    """A data set of so many clips of 0.1 s at 8 kHz."""
    (root / "audio").mkdir(parents=True)
    with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number in range(clips):
            name = f"{number:06d}.wav"
            noise = np.random.default_rng(number).integers(-9999, 9999, 800, np.int16)
            soundfile.write(root / "audio" / name, noise, 8000)
            row = {**dict.fromkeys(COLUMNS, 0), f"{COARSE[number // SENSORS % 8]}_presence": 1, "split": "train"}
            writer.writerow({**row, "sensor_id": number % SENSORS, "audio_filename": name})


def test_many_clips(tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (tmp_path / "step.py").write_text(STEP)
    sizes = [CLIPS // 8, CLIPS // 4, CLIPS // 2, CLIPS] if MEASURED else [CLIPS]
    seconds: dict[str, list[float]] = {step: [] for step in STEPS}
    memory: dict[str, list[float]] = {step: [] for step in STEPS}
    for clips in sizes:
        folder = tmp_path / str(clips)
        write_clips(folder / "data", clips)
        (folder / "split.json").write_text(json.dumps(SPLIT))
        for step in STEPS:
            done = python(str(tmp_path / "step.py"), step, str(folder), OMP_NUM_THREADS="1")
            assert done.returncode == 0, done.stderr[-2000:]
            took, most = json.loads(done.stdout.splitlines()[-1])
            seconds[step].append(took)
            memory[step].append(most)
            print(f"{clips:>6} clips  {step:<9} {took:8.1f} s {most:8.0f} MiB", flush=True)
        lengths = [len(json.loads(path.read_text())) for path in (folder / "tasks").glob("*/t*.json")]
        assert sum(lengths) > clips / 4
        assert len(list((folder / "runs").glob("*/checkpoint.safetensors"))) == 1
    if MEASURED:
        whole = np.sum([seconds[step] for step in STEPS], axis=0)
        exponent = np.polyfit(np.log(sizes), np.log(whole), 1)[0]
        print(f"time grows with the number of clips to the power of {exponent:.3f}")
        assert exponent <= 1.05
        assert max(most[-1] - most[0] for most in memory.values()) < 400  # MiB, for frames that lie in memory


class _Malloc(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]


def _memory() -> tuple[float, float]:
    """MiB in use, and MiB that the process has from the system, of which some is in no use; NaN where nobody says."""
    status, library = Path("/proc/self/statm"), ctypes.CDLL(None)
    if not status.exists() or not hasattr(library, "mallinfo2"):
        return math.nan, math.nan
    library.mallinfo2.restype = _Malloc
    own = library.mallinfo2()
    pages = int(status.read_text().split()[1])
    return (own.field7 + own.field4) / 2**20, pages * os.sysconf("SC_PAGE_SIZE") / 2**20  # uordblks and hblkhd


def _tensors() -> int:
    gc.collect()
    # Not isinstance, which asks a weak proxy for an object that may be gone.
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("options", [{}, {"view": "frontend", "frontend": "demo"}], ids=["bundled", "codec"])
def test_calls_of_any_length_leave_nothing_behind(options: dict[str, str]) -> None:
    model, rng = hear_multiview.load_model(**options), np.random.default_rng(0)  # type: ignore[arg-type]
    held: list[tuple[int, float, float]] = []
    for call in range(CALLS):
        audio = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, int(rng.integers(300, 60_000))))).float()
        assert hear_multiview.get_scene_embeddings(audio, model).isfinite().all()
        if call % (CALLS // 4) == CALLS // 4 - 1:
            held.append((_tensors(), *_memory()))
            tensors, used, whole = held[-1]
            print(f"{call + 1} calls: {tensors} tensors, {used:.0f} MiB in use of {whole:.0f} MiB", flush=True)
    assert held[-1][0] == held[0][0]
    if MEASURED:  # in the first half, oneDNN's cache of 1,024 operations and their shapes fills up
        assert not held[-1][1] > 1.02 * held[1][1]


@pytest.fixture(autouse=True)
def quiet(recwarn: pytest.WarningsRecorder) -> None:
    """The clips are noise, of which nothing can be learned; the warnings that say so are none of ours here."""
