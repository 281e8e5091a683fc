"""The command of the sampling system."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("sampling"), metavar="DIR", help="folder to work in (%(default)s)"
    )
    parser.add_argument("--scale", choices=("small", "full"), default="small", help="(%(default)s)")
    parser.add_argument("--seeds", type=int, metavar="N", help="replications (5 at full scale, 3 at small)")
    parser.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one per core)")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="audio files to pretrain on, without labels (generated streets)"
    )
    parser.add_argument(
        "--probe-data", type=Path, metavar="DATA", help="data set in SONYC's layout to probe by a linear probe, too"
    )


def _run(options: argparse.Namespace) -> None:
    from sonyc_tasks.files import held_folder
    from sonyc_tasks.processes import cores
    from training.systems.sampling.experiment import sampling

    workers = options.workers or cores()
    with held_folder(options.out / options.scale):
        sampling(options.out, options.scale, options.seeds, workers, data=options.data, probe_data=options.probe_data)


COMMANDS: dict[str, Command] = {
    "sampling": Command(
        "contrast clips, frames and pitches (arXiv 2505.18984)",
        "Generates streets or reads your own recordings, trains an encoder with each sampling strategy, probes tags, "
        "events, pitch, sources and sensors, and writes OUT/<scale>/page.html. Resumes where it was stopped.",
        _arguments,
        _run,
    )
}
