"""What recipes may name: the core's entries and those of every folder in ``training/systems``.

A system is a folder with modules of fixed names, all optional: ``recipes`` (`RECIPES`), ``methods`` (`METHODS`),
``objectives`` (`OBJECTIVES`), ``views`` (`VIEWS`), ``renditions`` (`RENDITIONS`), ``augmentations`` (`AUGMENTATIONS`)
and ``command`` (`COMMANDS`). Each holds a dictionary by name. So a new system is one new folder.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

#: By kind, the module of the core that has entries of its own, if any.
_CORE = {
    "recipes": None,
    "methods": None,
    "objectives": "training.objectives",
    "views": "training.data.views",
    "renditions": "training.data.renditions",
    "augmentations": "training.data.augmentations",
    "command": "training.cli",
}
_DICTIONARY = {"command": "COMMANDS"}


def systems() -> tuple[str, ...]:
    """Names of the systems, the folders in ``training/systems``."""
    return tuple(module.name for module in iter_modules(import_module("training.systems").__path__) if module.ispkg)


@cache
def registered(kind: str) -> dict[str, Any]:
    """Every entry of one ``kind``, by name: the core's first, then each system's.

    Raises:
        ValueError: two of them have the same name.
    """
    modules = [name for name in [_CORE[kind]] if name]
    for system in systems():
        name = f"training.systems.{system}.{kind}"
        if find_spec(name):
            modules.append(name)
    entries: dict[str, Any] = {}
    for name in modules:
        for key, value in getattr(import_module(name), _DICTIONARY.get(kind, kind.upper())).items():
            if key in entries:
                raise ValueError(f"{name} registers {key!r} in {kind}, which is taken; choose another name")
            entries[key] = value
    return entries


def entry(kind: str, name: str) -> Any:
    """The entry ``name`` of a ``kind``.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    entries = registered(kind)
    if name not in entries:
        raise ValueError(f"unknown {kind} {name!r}; choose one of {', '.join(entries)}")
    return entries[name]
