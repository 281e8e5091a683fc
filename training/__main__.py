"""Latents, pretraining, whole papers, the report page, and a demo of it all."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from sonyc_tasks.errors import exit_status
from training.registry import registered

# The codec imports TensorBoard, which imports TensorFlow where it is installed, which logs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Waiting threads must not spin: beside another busy process, everything would be 20 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its `exit_status`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout, force=True)
    for package in ("training", "sonyc_tasks", "hear_multiview"):
        logging.getLogger(package).setLevel(logging.INFO)
    return exit_status(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> None:
    options = _parser().parse_args(arguments)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in registered("command").items():
        sub = subparsers.add_parser(name, help=command.summary, description=command.description)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
