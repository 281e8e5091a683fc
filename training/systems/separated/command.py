"""The command of the separated system."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("separated"), metavar="DIR", help="folder to work in (%(default)s)"
    )
    parser.add_argument("--scale", choices=("small", "full"), default="small", help="(%(default)s)")
    parser.add_argument("--seeds", type=int, metavar="N", help="replications (5 at full scale, 3 at small)")
    parser.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one per core)")


def _run(options: argparse.Namespace) -> None:
    from sonyc_tasks.files import held_folder
    from sonyc_tasks.processes import cores
    from training.systems.separated.experiment import separated

    with held_folder(options.out / options.scale):
        separated(options.out, options.scale, options.seeds, options.workers or cores())


COMMANDS: dict[str, Command] = {
    "separated": Command(
        "train on a mixture and its separated sources (arXiv 2105.02132)",
        "Trains a separator on generated mixtures, separates generated streets with three of its states, trains an "
        "encoder on mixtures and channels, probes tags, sources and sensors, and writes OUT/<scale>/page.html. Resumes "
        "where it was stopped.",
        _arguments,
        _run,
    )
}
