"""Write docs/commands.md: every command with its arguments, from the parsers themselves.

Run as ``python docs/tools/commands_page.py`` (`make docs` does). argparse words its ``--help`` differently from one
Python to the next, so the tables are made from the parsers' actions. A test compares the file with what they say today.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

PAGE = Path(__file__).parents[1] / "commands.md"

#: Modules with a function `_parser` that returns their parser; one that is not there yet is left out.
PROGRAMS = ("hear_multiview", "sonyc_tasks", "training")

HEAD = """# Commands

Every command and its arguments. This page is generated from the commands' own `--help` by `make docs`; defaults are in
parentheses.
"""

LAUNCHER = """
## `python -m sonyc_tasks.heareval`

Runs unmodified heareval 2021.1.3 on current libraries, for any HEAR module, and refuses input that would make it fail
late or return a meaningless score. All arguments are passed on to heareval; a `+` between the arguments of several
calls runs them one after the other in one process.

| command | runs |
|---|---|
| `python -m sonyc_tasks.heareval embeddings …` | `python -m heareval.embeddings.runner …` |
| `python -m sonyc_tasks.heareval predictions …` | `python -m heareval.predictions.runner …` |
"""


def commands_page() -> str:
    """The whole page, as Markdown."""
    sections = list[str]()
    for name in PROGRAMS:
        if find_spec(f"{name}.__main__") is not None:
            sections += _program(import_module(f"{name}.__main__")._parser())
        if name == "sonyc_tasks":
            sections.append(LAUNCHER)
    return "\n".join([HEAD, *(section.strip("\n") + "\n" for section in sections)])


def _program(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A program's section, then one for each of its commands."""
    yield f"## `{parser.prog}`\n\n{_text(parser.description)}"
    for group in parser._actions:
        if isinstance(group, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help for choice in group._choices_actions}
            for name, command in group.choices.items():
                yield _command(name, command, summaries[name])


def _command(name: str, parser: argparse.ArgumentParser, summary: str | None) -> str:
    """A command's section: its summary, description, usage, and a table of its arguments."""
    actions = [action for action in parser._actions if action.dest != "help" and action.help != argparse.SUPPRESS]
    usage = [parser.prog, *(_values(action) for action in actions if not action.option_strings), "[options]"]
    if not any(action.option_strings for action in actions):
        usage.pop()
    about = _text(f"{summary}. {parser.description or ''}")
    rows = [f"| {_name(action)} | {_text(_expanded(action))} |" for action in actions]
    return "\n".join(
        [f"### `{name}`", "", f"`{' '.join(usage)}`", "", about[:1].upper() + about[1:], ""]
        + (["| argument | meaning |", "|---|---|", *rows] if rows else [])
    )


def _name(action: argparse.Action) -> str:
    """An argument as it is typed: ``--seed K``, with all spellings of an option."""
    return ", ".join(f"`{f'{option} {_values(action)}'.strip()}`" for option in action.option_strings or [""])


def _values(action: argparse.Action) -> str:
    """What follows an option, or stands for a positional argument: ``N``, ``TRAIN VALID TEST``, ``AUDIO …``."""
    if action.nargs == 0:
        return ""
    choices = f"{{{','.join(map(str, action.choices))}}}" if action.choices else None
    names = action.metavar or choices or action.dest.upper()
    if isinstance(names, tuple):
        return " ".join(names)
    repeated = isinstance(action.nargs, str) and action.nargs in "+*"
    return " ".join([names] * (action.nargs if isinstance(action.nargs, int) else 1)) + (" …" if repeated else "")


def _expanded(action: argparse.Action) -> str:
    """The help text with its default in place; choices are named where the argument does not show them."""
    text = (action.help or "") % {**vars(action), "prog": ""}
    shown = ", ".join(map(str, action.choices or ()))
    return f"{shown}: {text}" if shown and action.metavar else text


def _text(words: str | None) -> str:
    """Plain words as Markdown: one line, with what Markdown or HTML would take for markup escaped, but for `code`."""
    parts = re.split(r"(`[^`]*`)", " ".join((words or "").replace("``", "`").split()))
    escaped = [part if part.startswith("`") else re.sub(r"([\\*\[\]])", r"\\\1", part) for part in parts]
    return "".join(escaped).replace("<", "&lt;").replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
