"""The rules of the house that a machine can check: who may import whom, short functions, docstrings."""

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
#: Lines of a function's body, without its docstring. How many statements and branches it may have, ruff checks.
LONGEST = 60
#: What may be longer: lists and texts, which no function would make clearer; the last is to be divided.
LONG = {
    "training/__main__.py: _parser",
    "training/reporting/model_card.py: published_card",
    "training/engine/pretrain.py: pretrain",
}
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


def body_lines(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every function or method in ``tree`` by name, with the lines of its body after the docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.body[0].end_lineno if ast.get_docstring(node) else node.body[0].lineno - 1
            yield node.name, (node.end_lineno or 0) - (start or 0)


def test_the_checks_see_what_is_there() -> None:
    tree = ast.parse("import a.b, c\nfrom . import d\ndef f():\n    from e.g import h\nclass _I: pass\n")
    assert list(imported(tree, Path("sonyc_tasks/x.py"))) == ["a", "c", "sonyc_tasks", "e"]
    assert list(undocumented(tree)) == ["the module", "f"]
    text = 'class C:\n    def f(self):\n        """One.\n\n        Two."""\n        a = 1\n\n        return a\n'
    text += "\n\ndef g(): ...\n"
    assert dict(body_lines(ast.parse(text))) == {"f": 3, "g": 1}
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


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name: str) -> None:
    for function, lines in body_lines(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        assert lines < LONGEST or f"{name}: {function}" in LONG, f"{name}: {function} has {lines} lines: divide it"


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_documented(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not list(undocumented(ast.parse(text))), f"{name} lacks docstrings"
