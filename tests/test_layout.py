"""The rules of the house that a machine can check: who may import whom, short functions, docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hear_multiview", "sonyc_tasks", "training")
MODULES = sorted(str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SYSTEMS = sorted(path.name for path in (ROOT / "training" / "systems").iterdir() if (path / "__init__.py").exists())
#: What every system has.
OF_A_SYSTEM = ("README.md", "recipes.py", "methods.py", "objectives.py", "experiment.py", "report.py", "command.py")
#: Lines of a function's body, without its docstring. How many statements and branches it may have, ruff checks.
LONGEST = 60
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def imported(tree: ast.AST, file: Path) -> Iterator[str]:
    """Every module, or name in a module, that ``tree`` imports, inside functions too; relative imports are resolved
    from ``file``, relative to the root of the project."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(file.parent.parts), f"{file}:{node.lineno} imports from above its package"
            above = file.parent.parts[: len(file.parent.parts) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def allowed(importer: str, target: str) -> bool:
    """Whether module ``importer`` may import ``target``: systems import the core, the core the other two packages, and
    of `hear_multiview` only what reads recordings imports `sonyc_tasks`, apart from how files are written; nothing goes
    the other way, and no system imports another. The benchmark may measure a system."""
    own, other = importer.split(".")[0], target.split(".")[0]
    if other not in (*PACKAGES, "tests"):
        return True
    if importer.split(".")[:2] == ["hear_multiview", "recordings"] and other == "sonyc_tasks":
        return True
    if importer == "hear_multiview.files" and target.split(".")[:2] in (
        ["sonyc_tasks", "files"],
        ["sonyc_tasks", "locks"],
        ["sonyc_tasks", "errors"],
    ):
        return True
    if own != "training":
        return own == other
    if not target.startswith("training.systems."):
        return other != "tests"
    return importer.startswith("training.bench.") or importer.split(".")[:3] == target.split(".")[:3]


def module_name(file: str) -> str:
    """The dotted name of a module's ``file``."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def runtime_imports(tree: ast.AST, file: Path) -> set[str]:
    """`imported`, without what only a type checker imports."""
    kept = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    hidden = {name for node in kept for name in imported(node, file)}
    return set(imported(tree, file)) - hidden


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
    tree = ast.parse(
        "import a.b, c\nfrom . import d\nfrom ..x import y\ndef f():\n    from e.g import h\nclass _I: pass\n"
    )
    assert list(imported(tree, Path("p/q/x.py"))) == ["a.b", "c", "p.q.d", "p.x.y", "e.g.h"]
    assert list(undocumented(tree)) == ["the module", "f"]
    text = 'class C:\n    def f(self):\n        """One.\n\n        Two."""\n        a = 1\n\n        return a\n'
    text += "\n\ndef g(): ...\n"
    assert dict(body_lines(ast.parse(text))) == {"f": 3, "g": 1}
    with pytest.raises(AssertionError, match="above"):
        list(imported(ast.parse("from ... import x"), Path("training/data/x.py")))
    assert allowed("training.systems.music.report", "training.data.store.LatentStore")
    assert allowed("training.data.store", "sonyc_tasks.files.replacing")
    assert allowed("hear_multiview.recordings.table", "sonyc_tasks.files.replacing")
    assert allowed("hear_multiview.files", "sonyc_tasks.files.replacing")
    for importer, target in (
        ("sonyc_tasks.files", "hear_multiview.recordings.table"),
        ("hear_multiview.recordings.table", "training.cli"),
        ("training.data.store", "training.systems.music.views"),
        ("training.systems.music.report", "training.systems.multiview.tables"),
        ("hear_multiview.api", "sonyc_tasks.files"),
        ("hear_multiview.files", "sonyc_tasks.dataset.audio"),
        ("sonyc_tasks.files", "training.cli"),
    ):
        assert not allowed(importer, target)


def test_there_are_modules_of_every_package() -> None:
    assert {Path(name).parts[0] for name in MODULES} == set(PACKAGES)
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_only_what_they_may(name: str) -> None:
    targets = imported(ast.parse((ROOT / name).read_text(encoding="utf-8")), Path(name))
    assert [target for target in targets if not allowed(module_name(name), target)] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {module_name(name): name for name in MODULES}
    graph = {}
    for module, name in names.items():
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        found = runtime_imports(tree, Path(name))
        graph[module] = {t if t in names else t.rpartition(".")[0] for t in found} & {*names} - {module}
    order = TopologicalSorter(graph)
    order.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_has_the_same_files(system: str) -> None:
    folder = ROOT / "training" / "systems" / system
    assert [name for name in OF_A_SYSTEM if not (folder / name).exists()] == []


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name: str) -> None:
    for function, lines in body_lines(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        assert lines < LONGEST, f"{name}: {function} has {lines} lines: divide it"


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_documented(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not list(undocumented(ast.parse(text))), f"{name} lacks docstrings"
