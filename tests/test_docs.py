"""The documents are true: examples run, links lead somewhere, commands and targets exist, no machine's paths."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import hear_multiview.__main__
import sonyc_tasks.__main__
import training.__main__

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "docs/*.md", "findings/*.md", "training/systems/*/*.md")
DOCUMENTS = sorted(path for place in PLACES for path in ROOT.glob(place))
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
PARSERS = {
    package.__name__.partition(".")[0]: package._parser()
    for package in (hear_multiview.__main__, sonyc_tasks.__main__, training.__main__)
}

_FENCE = re.compile(r"^ *```")
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_COMMAND = re.compile(r"python -m (hear_multiview|sonyc_tasks|training) (?=[a-z])(.*)")
#: A path from the root of somebody's machine, not the tail of a longer path or address.
_MACHINE_PATH = re.compile(r"(?<![\w.~/…}-])/(?:work|root|home|tmp|Users|mnt)\b")


def fenced(text: str) -> Iterator[tuple[str, int, str]]:
    """(language, number of its first line, code) of every fenced block."""
    language, start, block = None, 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if not _FENCE.match(line):
            block.append(line)
        elif language is None:
            language, start, block = line.strip(" `"), number + 1, []
        else:
            yield language, start, "\n".join(block)
            language = None
    assert language is None, "a fenced block is never closed"


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    inside, kept = False, []
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        inside ^= fence
        if not inside and not fence:
            kept.append(line)
    return "\n".join(kept)


def blocks_of_commands(text: str) -> Iterator[str]:
    """The lines of all fenced blocks that are not Python, with continued lines joined."""
    for language, _, code in fenced(text):
        if language != "python":
            yield from code.replace("\\\n", " ").splitlines()


def spans(text: str) -> list[str]:
    """The inline code of the prose; a span may go on in the next line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def subparser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """The parser of a subcommand; fails where there is none."""
    (choices,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert name in choices, f"there is no subcommand {name}"
    return choices[name]


def check_command(module: str, rest: str, *, whole: bool) -> None:
    """Of a ``whole`` command, ``python -m module rest`` has to parse; of a part of one, its options have to exist."""
    words = [word for word in shlex.split(re.split(r" [|&;>]", rest)[0], comments=True) if word != "…"]
    sub = subparser(PARSERS[module], words[0])
    if whole and "--help" not in words:
        PARSERS[module].parse_args(words)
    for word in words[1:]:
        assert not word.startswith("--") or word in sub._option_string_actions, f"{words[0]} has no option {word}"


def test_the_checks_see_what_is_there() -> None:
    text = "`make x`\n```sh\nmake demo \\\n  test  # or\n```\nSee [a](b.md#c), `python -m\ntraining latents`.\n"
    assert list(fenced(text)) == [("sh", 3, "make demo \\\n  test  # or")]
    assert list(blocks_of_commands(text)) == ["make demo    test  # or"]
    assert spans(text) == ["make x", "python -m training latents"]
    assert [match[1] for match in _LINK.finditer(prose(text))] == ["b.md#c"]
    assert all(map(_MACHINE_PATH.search, ["in /tmp/x", '"/home/me"', "(/root)"]))
    assert not any(map(_MACHINE_PATH.search, [".github/workflows", "https://a.org/home", "~/work", "/path/to/x"]))
    check_command("training", "pretrain --seed 1 --store latents", whole=True)
    check_command("sonyc_tasks", "build --split", whole=False)
    for module, wrong, whole in [("training", "nothing", False), ("sonyc_tasks", "build D --nothing", False)]:
        with pytest.raises(AssertionError, match="nothing"):
            check_command(module, wrong, whole=whole)
    with pytest.raises(SystemExit):
        check_command("sonyc_tasks", "synthesize", whole=True)


def test_the_documents_are_there() -> None:
    expected = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/adding.md"}
    assert expected | {"docs/reproduce.md"} <= set(NAMES)


@pytest.mark.parametrize("name", [n for n, p in zip(NAMES, DOCUMENTS, strict=True) if "```python" in p.read_text()])
def test_examples_run(name: str, python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """All Python blocks of a document, one after the other, in an empty folder and a fresh interpreter: they may add to
    registries. Blank lines stand for the text between, so that a traceback shows the document's line."""
    lines: list[str] = []
    for language, start, code in fenced((ROOT / name).read_text(encoding="utf-8")):
        if language == "python":
            lines += [""] * (start - 1 - len(lines)) + code.splitlines()
    script = tmp_path / Path(name).name.replace(".md", ".py")
    script.write_text("\n".join(lines), encoding="utf-8")
    done = python(script.name, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files(name: str) -> None:
    path = ROOT / name
    for match in _LINK.finditer(prose(path.read_text(encoding="utf-8"))):
        target = (match[1] or match[2]).split("#")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{name} links to {target}, which is not there"


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {
        target for line in re.findall(r"^([a-z][\w -]*):(?!=)", makefile, re.MULTILINE) for target in line.split()
    }
    assert {"demo", "test", "setup", "check"} <= targets
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = [*spans(text), *(line.strip().removeprefix("$ ") for line in blocks_of_commands(text))]
    for command in commands:
        for part in re.split(r"&&|;|\|", command):
            words = shlex.split(part, comments=True) if re.match(r"\s*make( |$)", part) else []
            for word in words[1:]:
                assert "=" in word or word.startswith("-") or word in targets, f"{name}: there is no `make {word}`"


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist_with_their_options(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for commands, whole in ((blocks_of_commands(text), True), (spans(text), False)):
        for command in commands:
            if found := _COMMAND.search(command):
                check_command(found[1], found[2], whole=whole)


def test_the_page_of_commands_is_what_the_parsers_say() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "tools" / "commands_page.py"))["commands_page"]()
    for program, parser in PARSERS.items():
        (choices,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        assert all(f"\n### `{name}`\n\n`python -m {program} {name}" in made for name in choices)
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == made, "run `make docs`"


def test_the_picture_of_the_data_flow_is_that_of_its_source() -> None:
    source = (ROOT / "docs" / "images" / "data_flow.mmd").read_text(encoding="utf-8")
    drawn = "".join(ElementTree.parse(ROOT / "docs" / "images" / "data_flow.svg").getroot().itertext())
    labels = re.findall(r'"([^"]+)"', source.split("flowchart", 1)[1].split("\n", 1)[1])
    assert len(labels) > 20
    for label in labels:
        assert "".join(label.split()) in "".join(drawn.split()), f"data_flow.svg does not show {label}"


def test_every_folder_is_on_the_map_and_nothing_else() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (tree,) = (code for language, _, code in fenced(text) if language == "text")
    places, above = set[Path](), [ROOT]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth + 1 :] = [above[depth] / line.split()[0]]
        places.add(above[-1])
    absent = {place.relative_to(ROOT) for place in places if not place.exists()}
    assert not absent, f"docs/architecture.md shows {absent}"
    packages = ("hear_multiview", "sonyc_tasks", "training")
    folders = {path.parent for package in packages for path in (ROOT / package).rglob("*.py")}
    missing = {folder.relative_to(ROOT) for folder in folders - places}
    assert not missing, f"docs/architecture.md does not show {missing}"


def test_no_path_of_a_machine_is_in_any_file() -> None:
    try:
        found = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout, to know which files belong to the project")
    checked = 0
    for name in filter(None, found.stdout.split("\0")):
        path = ROOT / name
        if name.startswith("tests/") or path.suffix in (".safetensors", ".png") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        hit = _MACHINE_PATH.search(text)
        assert not hit, f"{name}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]} is a path of one machine"
        checked += 1
    assert checked > 20
