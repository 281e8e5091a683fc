"""``python -m hear_multiview``: recordings in, embeddings out."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from hear_multiview.recordings import embed_command, explore_command, info_command, search_command
from hear_multiview.recordings.command import Command

# Waiting threads must not spin: beside another busy process, everything would be 20 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

COMMANDS: dict[str, Command] = {
    "embed": embed_command.COMMAND,
    "search": search_command.COMMAND,
    "explore": explore_command.COMMAND,
    "info": info_command.COMMAND,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its `exit_status`."""
    options = _parser().parse_args(arguments)
    from hear_multiview.files import exit_status  # after --help, which has to answer at once

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout, force=True)
    logging.getLogger("hear_multiview").setLevel(logging.INFO)
    return exit_status(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hear_multiview", description="Recordings in, embeddings out.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = subparsers.add_parser(name, help=command.summary, description=command.description)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
