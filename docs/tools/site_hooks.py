"""What mkdocs.yml cannot say: the site has the repository's own layout, and a page of API for every room.

A page keeps its path (README.md, docs/scaling.md), so a link that works on GitHub works in the site as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PACKAGES = ("hear_multiview", "sonyc_tasks", "training")

_LINK = re.compile(r"\]\(([^)\s#]+)|src=\"([^\"]+)\"")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the systems' READMEs and the API pages, a section for each package, into the navigation."""
    systems = [{path.parent.name: path.relative_to(ROOT).as_posix()} for path in _systems()]
    sections = [{package: [{_dotted(room): _page(room)} for room in _rooms(package)]} for package in PACKAGES]
    config.nav = [*(config.nav or []), *([{"Systems": systems}] if systems else []), {"API": sections}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Serve all that README and docs/ lead to, at its place in the repository, beside the theme's files."""
    found = [file for file in files if file.src_dir != config.docs_dir]
    for path in sorted(_linked([ROOT / "README.md", *ROOT.glob("docs/*.*"), *_systems()])):
        found.append(File(path.relative_to(ROOT).as_posix(), str(ROOT), config.site_dir, config.use_directory_urls))
    for package in PACKAGES:
        for room in _rooms(package):
            found.append(File.generated(config, _page(room), content=_api(room)))
    return Files(found)


def _systems() -> list[Path]:
    """The README of every system that has one."""
    return sorted(ROOT.glob("training/systems/*/README.md"))


def _linked(start: list[Path]) -> set[Path]:
    """The documents of ``start`` and every file that they, or documents among those files, link to."""
    found, waiting = set[Path](), list(start)
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file() or not path.is_relative_to(ROOT):
            continue
        found.add(path)
        if path.suffix == ".md":
            links = _LINK.findall(path.read_text(encoding="utf-8"))
            waiting += [(path.parent / (link or source)).resolve() for link, source in links]
    return found


def _rooms(package: str) -> Iterator[Path]:
    """The folders of a package that hold modules, from the root of the repository, in order."""
    for folder in sorted({path.parent for path in (ROOT / package).rglob("*.py")}):
        if list(_modules(folder.relative_to(ROOT))):
            yield folder.relative_to(ROOT)


def _modules(room: Path) -> Iterator[Path]:
    """The room's package if it says anything, then its public modules."""
    for path in sorted((ROOT / room).glob("*.py")):
        if path.name == "__init__.py":
            if path.stat().st_size:
                yield room
        elif not path.stem.startswith("_"):
            yield room / path.stem


def _api(room: Path) -> str:
    """The Markdown of a room's page, which mkdocstrings fills from the docstrings."""
    return "\n".join([f"# {_dotted(room)}", *(f"\n::: {_dotted(module)}" for module in _modules(room)), ""])


def _dotted(path: Path) -> str:
    return ".".join(path.parts)


def _page(room: Path) -> str:
    return f"api/{_dotted(room)}.md"
