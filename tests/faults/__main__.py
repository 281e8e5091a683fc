"""``make faults``: kill every long command at seeded-random moments, resume it, and compare with an undisturbed run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from tests.faults.jobs import jobs, prepare
from tests.faults.killing import torture
from tests.faults.server import served


def main() -> int:
    """Kill each job; the exit status is 1 if anything was lost, left behind, half written or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=22, metavar="N", help="of each cheap job (%(default)s)")
    parser.add_argument("--costly", type=int, default=6, metavar="N", help="of each job that starts processes (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (%(default)s)")
    parser.add_argument("--only", metavar="NAME", default="", help="jobs whose name contains this")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    torch.set_num_threads(1)  # forks of a process whose torch has threads would hang
    warnings.simplefilter("ignore")
    begun, kills, wrong = time.monotonic(), 0, []
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        place = Path(name)
        prepare(place / "given")
        with served(place / "given" / "data", place / "served") as address:
            for number, job in enumerate(jobs(address)):
                if options.only in job.name:
                    rng = np.random.default_rng((options.seed, number))
                    count = options.kills if job.cheap else options.costly
                    outcome = torture(job, place / "given", place / job.name, count, rng, say=print)
                    kills += outcome.kills
                    wrong += outcome.wrong
                    print(*outcome.wrong, sep="\n", end="\n" if outcome.wrong else "", flush=True)
                    if outcome.wrong:
                        for log in sorted((place / job.name).glob("*.log")):
                            print(log.read_text(errors="replace")[-1500:])
    print(f"{kills} kills, {len(wrong)} faults, {time.monotonic() - begun:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
