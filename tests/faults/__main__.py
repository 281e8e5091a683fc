"""``make faults``: disturb every long command at seeded-random moments, and compare with an undisturbed run.

Each is killed and resumed, meets a full disk and is resumed, and is run twice at once. Where this process may mount
file systems, each also meets a real disk that is too small, and one that can only be read.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from tests.faults.jobs import jobs, prepare, warm_up
from tests.faults.killing import Job, Trial, may_mount, run
from tests.faults.server import served

#: Kills before a run is left alone.
IN_A_ROW = 4


def main() -> int:
    """Disturb each job; the exit status is 1 if anything was lost, left behind, half written or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    for name, default, what in (
        ("kills", 20, "kills of each cheap job"),
        ("costly", 2, "kills of each costly job"),
        ("full", 5, "full disks of each cheap job"),
        ("disks", 5, "disks that are too small for each cheap job"),
        ("pairs", 3, "pairs of each cheap job at once, and one of each costly one"),
        ("seed", 0, "of the moments"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (%(default)s)")
    parser.add_argument("--only", metavar="REGEX", default="", help="jobs whose name has this in it")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    torch.set_num_threads(1)  # forks of a process whose torch has threads would hang
    warnings.simplefilter("ignore")
    if options.disks and not may_mount():
        print("no small or read-only disks: this process may not mount any")
        options.disks = 0
    begun, total, wrong = time.monotonic(), np.zeros(4, int), 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        place = Path(name)
        warm_up()
        (place / "given").mkdir()
        if run(Job("prepare", lambda folder, _: prepare(folder)), place / "given", place)[0]:
            raise SystemExit((place / "given.log").read_text())
        with served(place / "given" / "data", place / "served") as address:
            for number, job in enumerate(jobs(address)):
                if re.search(options.only, job.name):
                    trial = Trial(job, place / "given", place / job.name)
                    total += _disturb(trial, job, options, np.random.default_rng((options.seed, number)))
                    wrong += _report(trial, place / job.name)
    print(f"{_counted(total)}: {wrong} faults, {time.monotonic() - begun:.0f} s")
    return int(wrong > 0)


def _disturb(trial: Trial, job: Job, options: argparse.Namespace, rng: np.random.Generator) -> np.ndarray:
    """How many kills, full disks, small disks and pairs the job has had; it ends at the first fault."""
    kills = full = disks = pairs = misses = 0
    wanted = options.kills if job.cheap else options.costly
    while kills < wanted and not trial.wrong:
        kills += trial.killed(min(IN_A_ROW, wanted - kills), rng)
    while job.cheap and full < options.full and misses < options.full and not trial.wrong:
        met = trial.full(rng)
        full, misses = full + met, misses + (not met)
    while job.cheap and disks < options.disks and not trial.wrong:
        trial.small_disk(rng)
        disks += 1
    if job.cheap and options.disks and not trial.wrong:
        trial.read_only()
    while pairs < (options.pairs if job.cheap else min(options.pairs, 1)) and not trial.wrong:
        trial.together(rng)
        pairs += 1
    counts = np.array([kills, full, disks, pairs])
    found = f"{trial.seconds:.1f} s, {trial.changes} changes, {len(trial.expected)} files"
    print(f"{job.name}: {found}; {_counted(counts)}", flush=True)
    return counts


def _counted(counts: np.ndarray) -> str:
    kills, full, disks, pairs = counts.tolist()
    return f"{kills} kills, {full} full disks, {disks} small disks, {pairs} pairs"


def _report(trial: Trial, place: Path) -> int:
    print(*trial.wrong, sep="\n", end="\n" if trial.wrong else "")
    if trial.wrong:
        for log in sorted(place.glob("*.log"), key=lambda path: path.stat().st_mtime)[-2:]:
            print(f"{log}:", log.read_text(errors="replace")[-2500:], sep="\n", flush=True)
    return len(trial.wrong)


if __name__ == "__main__":
    sys.exit(main())
