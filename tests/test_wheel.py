"""The wheel alone is the package: built from the files that git knows, and used with the repository out of the way."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("hear_multiview", "sonyc_tasks", "training")
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


def pip(*arguments: object) -> None:
    """pip of this environment, without an index."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments), "--no-index"]
    done = subprocess.run([*command, "--no-deps"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy: setuptools leaves folders where it builds, and takes what lies about there."""
    list_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(list_files, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout, to know which files belong to the project")
    folder = tmp_path_factory.mktemp("wheel")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "source" / name)
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, folder / "source")
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """The wheel alone, installed in a folder of its own."""
    folder = wheel.parent / "site"
    pip("install", "--target", folder, wheel)
    return folder


@pytest.fixture
def elsewhere(site: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which that folder comes first, nothing can be fetched and nothing is in a cache."""
    nobody = "http://127.0.0.1:9"
    return {
        **{"PYTHONPATH": str(site), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONSAFEPATH": "1"},
        **{name: nobody for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")},
    }


def test_it_holds_every_module_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = wheel.parent / "source"
    kinds = (".py", ".json", ".css", ".j2", ".js", ".md", ".safetensors")
    expected = [file for package in PACKAGES for file in (source / package).rglob("*") if file.suffix in kinds]
    assert names == {file.relative_to(source).as_posix() for file in expected}
    assert {
        "hear_multiview/bundled/demo_codec.safetensors",
        "hear_multiview/bundled/multiview.safetensors",
        "hear_multiview/bundled/README.md",
        "hear_multiview/recordings/pages/explore.js",
        "hear_multiview/recordings/pages/listening.html.j2",
        "sonyc_tasks/dataset/sonyc_ust_v2_split.json",
        "sonyc_tasks/page/base.html.j2",
        "training/reporting/page/page.html.j2",
        "training/reporting/page/page.js",
    } <= names


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def requirements(fields: Message) -> list[str]:
    """What the wheel asks for, extras apart."""
    return [line for line in fields.get_all("Requires-Dist") or () if "extra ==" not in line]


def test_it_says_what_it_needs(wheel: Path) -> None:
    fields = metadata(wheel)
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith("/LICENSE") for name in archive.namelist())
    assert {"eval", "train", "dev", "hub"} <= set(fields.get_all("Provides-Extra") or ())
    needed = requirements(fields)
    assert any(line.startswith("torch") for line in needed)
    assert not any("huggingface" in line for line in needed), "only for those who ask for it"
    assert fields["Description-Content-Type"] == "text/markdown"


def test_the_bundled_model_gives_embeddings(python: Run, elsewhere: dict[str, str], tmp_path: Path) -> None:
    code = f"""
import sys, torch, hear_multiview as h
model = h.load_model()
audio = torch.randn(2, 44_100) * 0.1
frames, times = h.get_timestamp_embeddings(audio, model)
print(list(h.get_scene_embeddings(audio, model).shape), list(frames.shape), list(times.shape))
codec = h.load_model(view="frontend", frontend="demo")
print(*(list(each.shape) for each in h.get_timestamp_embeddings(audio, codec)))
import sonyc_tasks.dataset.splits, training.cli
for name in {PACKAGES}:
    print(sys.modules[name].__path__[0])
"""
    done = python("-W", "ignore", "-c", code, cwd=tmp_path, **elsewhere)
    assert done.returncode == 0, done.stderr
    shapes, of_codec, *places = done.stdout.splitlines()
    assert shapes == "[2, 1024] [2, 43, 512] [2, 43]"  # 44,100 samples at 16 kHz: one in 64 ms
    assert of_codec == "[2, 86, 256] [2, 86]"
    assert places == [os.path.join(elsewhere["PYTHONPATH"], name) for name in PACKAGES]


def test_embedding_needs_no_more_than_the_wheel_asks_for(
    wheel: Path, python: Run, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    """With modules of all other distributions out of reach, as they are after a pip install of the wheel alone."""
    needed: set[str] = set()
    waiting = [Requirement(line) for line in requirements(metadata(wheel))]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in needed or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        needed.add(name)
        waiting += [Requirement(line) for line in importlib.metadata.requires(name) or ()]
    belongs = importlib.metadata.packages_distributions()
    others = {top for top, names in belongs.items() if needed.isdisjoint(map(canonicalize_name, names))}
    others -= set(PACKAGES)
    assert {"dac", "torchaudio", "audiotools", "sklearn", "zarr", "tensorflow"} <= others
    code = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({sorted(others)}))  # to import one of them is an error now
import torch, hear_multiview as h
for module in pkgutil.walk_packages(h.__path__, "hear_multiview."):
    if not module.name.startswith(("hear_multiview.adapters.", "hear_multiview.recordings.pages.")):
        importlib.import_module(module.name)
audio = torch.randn(2, 44_100) * 0.1
for options in ({{}}, {{"view": "frontend", "frontend": "demo"}}):
    print(list(h.get_scene_embeddings(audio, h.load_model(**options)).shape))
"""
    done = python("-W", "ignore", "-c", code, cwd=tmp_path, **elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[2, 1024]\n[2, 256]\n"


def test_its_commands_answer(python: Run, elsewhere: dict[str, str], tmp_path: Path) -> None:
    for package in PACKAGES:
        done = python("-m", package, "--help", cwd=tmp_path, **elsewhere)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"usage: python -m {package}")


def test_the_validator_says_looks_good(python: Run, elsewhere: dict[str, str], tmp_path: Path) -> None:
    code = """
import atexit, runpy, sys
def tell():
    ours = [name for name in sys.modules if name.partition(".")[0] == "hear_multiview"]
    print(*(sys.modules[name].__file__ for name in ours), sep="\\n")
atexit.register(tell)
sys.argv = ["hear-validator", "hear_multiview"]
runpy.run_module("hearvalidator.validate", run_name="__main__")
"""
    done = python("-c", code, cwd=tmp_path, **elsewhere)
    assert done.returncode == 0, done.stderr[-3000:]
    said, _, files = done.stdout.partition("Looks good!")
    assert files, said
    assert len(files.split()) > 5
    assert all(file.startswith(elsewhere["PYTHONPATH"]) for file in files.split())
