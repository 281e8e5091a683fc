"""``python -m hear_multiview info``: what a checkpoint is, at a glance."""

from __future__ import annotations

import argparse

from hear_multiview.recordings.command import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", nargs="?", default="", help="a path or hf://org/name (the bundled one)"
    )


def _run(options: argparse.Namespace) -> int:
    from hear_multiview.recordings.info import describe

    print(describe(options.checkpoint))
    return 0


COMMAND = Command(
    "show what a checkpoint is",
    "Prints its front end, views and their sizes, sample rate, what it was trained on, its metrics, the versions that "
    "made it, and its sha256.",
    _arguments,
    _run,
)
