"""The command of the music system."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("music"), metavar="DIR", help="folder to work in (%(default)s)"
    )
    parser.add_argument("--scale", choices=("small", "full"), default="small", help="(%(default)s)")
    parser.add_argument("--seeds", type=int, metavar="N", help="replications (5 at full scale, 1 at small)")
    parser.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one per core)")


def _run(options: argparse.Namespace) -> None:
    from sonyc_tasks.files import held_folder
    from sonyc_tasks.processes import cores
    from training.systems.music.experiment import music

    with held_folder(options.out / options.scale):
        music(options.out, options.scale, seeds=options.seeds, workers=options.workers or cores())


COMMANDS: dict[str, Command] = {
    "music": Command(
        "disentangle music sounds (arXiv 2411.02711)",
        "Generates sounds, trains the multi-view variational autoencoder and its ablation, probes timbre and "
        "frequency, measures mutual information, and writes OUT/<scale>/page.html. Resumes where it was stopped.",
        _arguments,
        _run,
    )
}
