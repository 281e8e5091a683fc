"""What recipes may name: the core's entries and those of every folder in ``training/systems``.

A system is a folder with modules of fixed names, all optional: ``recipes`` (`RECIPES`), ``methods`` (`METHODS`),
``objectives`` (`OBJECTIVES`), ``views`` (`VIEWS`), ``renditions`` (`RENDITIONS`), ``augmentations`` (`AUGMENTATIONS`)
and ``command`` (`COMMANDS`). Each holds a dictionary by name. So a new system is one new folder.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
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
    """Names of the systems, the folders in ``training/systems``.

    Raises:
        ValueError: one of them is not a package.
    """
    folder = Path(import_module("training.systems").__path__[0])
    found = sorted({path.parent for path in folder.glob("*/*.py")})
    for system in found:
        if not (system / "__init__.py").exists():
            raise ValueError(f"{system} has no __init__.py; add one, which may be empty")
    return tuple(system.name for system in found)


@cache
def registered(kind: str) -> dict[str, Any]:
    """Every entry of one ``kind``, by name: the core's first, then each system's.

    Raises:
        ValueError: two of them have the same name, or a system's module cannot be imported.
    """
    modules = [_CORE[kind], *(f"training.systems.{system}.{kind}" for system in systems())]
    entries: dict[str, Any] = {}
    for name in filter(None, modules):
        for key, value in _entries(name, kind).items():
            if key in entries:
                raise ValueError(f"{name} registers {key!r} in {kind}, which is taken; choose another name")
            entries[key] = value
    return entries


def _entries(name: str, kind: str) -> dict[str, Any]:
    """The dictionary of the module ``name``; an empty one where there is no such module."""
    try:
        return dict(getattr(import_module(name), _DICTIONARY.get(kind, kind.upper()))) if find_spec(name) else {}
    except ModuleNotFoundError as error:  # most likely a package that is not installed
        raise ModuleNotFoundError(f"{name} cannot be imported ({error})", name=error.name) from error
    except Exception as error:  # a system is anybody's code
        raise ValueError(f"{name} cannot be used ({type(error).__name__}: {error}); mend it, or remove it") from error


def entry(kind: str, name: str) -> Any:
    """The entry ``name`` of a ``kind``.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    entries = registered(kind)
    if name not in entries:
        raise ValueError(f"unknown {kind} {name!r}; choose one of {', '.join(entries)}")
    return entries[name]
