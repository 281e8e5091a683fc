"""The rules of the house that a machine can check: who may import whom, short files, docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Which of the project's packages each package may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "hear_multiview": set(),
    "sonyc_tasks": set(),
    "training": {"hear_multiview", "sonyc_tasks"},
}
MODULES = sorted(str(path.relative_to(ROOT)) for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
TESTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py"))
LONGEST = 300
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def imported(tree: ast.AST, file: Path) -> Iterator[str]:
    """The top-level package of every import in ``tree``, those inside functions too; relative ones resolved from
    ``file``, relative to the root of the project."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                assert node.level <= len(file.parent.parts), f"{file}:{node.lineno} imports from above its package"
                yield file.parts[0]
            elif node.module:
                yield node.module.split(".")[0]


def undocumented(tree: ast.Module) -> Iterator[str]:
    """The module, and its public top-level functions and classes, that have no docstring."""
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, NAMED) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield node.name


def test_the_checks_see_what_is_there() -> None:
    tree = ast.parse("import a.b, c\nfrom . import d\ndef f():\n    from e.g import h\nclass _I: pass\n")
    assert list(imported(tree, Path("sonyc_tasks/x.py"))) == ["a", "c", "sonyc_tasks", "e"]
    assert list(undocumented(tree)) == ["the module", "f"]
    with pytest.raises(AssertionError, match="above"):
        list(imported(ast.parse("from .. import x"), Path("training/x.py")))


def test_there_are_modules_of_every_package() -> None:
    assert {Path(name).parts[0] for name in MODULES} == set(MAY_IMPORT)
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", MODULES)
def test_packages_import_only_what_they_may(name: str) -> None:
    own = Path(name).parts[0]
    ours = set(imported(ast.parse((ROOT / name).read_text(encoding="utf-8")), Path(name))) & {*MAY_IMPORT, "tests"}
    assert ours <= MAY_IMPORT[own] | {own}


@pytest.mark.parametrize("name", MODULES + TESTS)
def test_files_are_short(name: str) -> None:
    lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
    assert lines < LONGEST, f"{name} is two ideas: divide it"


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_documented(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not list(undocumented(ast.parse(text))), f"{name} lacks docstrings"
