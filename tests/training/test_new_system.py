"""A system is one new folder: that of docs/adding_a_system.md, added to a copy of `training`, trains and serves."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import hear_multiview

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of ``training``, which has one folder more; every other file is as it was."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "training", folder / "training", ignore=shutil.ignore_patterns("__pycache__"))
    document = (ROOT / "docs" / "adding_a_system.md").read_text(encoding="utf-8")
    system = folder / "training" / "systems" / "denoising"
    system.mkdir()
    (system / "__init__.py").touch()
    for name, code in re.findall(r"```python\n# training/systems/denoising/(\w+\.py)\n(.*?)```", document, re.S):
        (system / name).write_text(code)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for k in range(6):
        noise = 0.1 * np.random.default_rng(k).standard_normal(16_000)
        soundfile.write(folder / f"{k}.wav", noise, 16_000)
    return folder


def test_it_appears_in_the_help_without_torch(house: Path, python: Run) -> None:
    done = python("-X", "importtime", "-m", "training", "--help", cwd=house, PYTHONPATH=f"{house}:{ROOT}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +denoising\b", done.stdout, re.M)
    assert not re.search(r"\| +torch$", done.stderr, re.M)


def test_it_trains_and_its_checkpoint_is_a_hear_model(house: Path, recordings: Path, python: Run) -> None:
    done = python("-m", "training", "denoising", str(recordings), cwd=house, PYTHONPATH=f"{house}:{ROOT}")
    assert done.returncode == 0, done.stderr
    path = house / done.stdout.strip().splitlines()[-1]
    model = hear_multiview.load_model(path)  # the package itself knows nothing of the system
    audio = 0.1 * torch.randn(2, 40_000, generator=torch.Generator().manual_seed(0))
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)
    assert frames.shape == (2, 20, 32)  # 78 frames of 32 ms and a half, four at a time
    assert times.diff().unique().tolist() == [128.0]
    scene = hear_multiview.get_scene_embeddings(audio, model)
    torch.testing.assert_close(scene, frames.amax(1))  # pooled by the maximum
    with pytest.raises(ValueError, match=r"private.*joint.*frontend"):
        hear_multiview.load_model(path, view="private")


def test_a_name_that_is_taken_is_refused(house: Path, python: Run) -> None:
    system = house / "training" / "systems" / "impostor"
    shutil.copytree(house / "training" / "systems" / "denoising", system)
    done = python("-m", "training", "--help", cwd=house, PYTHONPATH=f"{house}:{ROOT}")
    shutil.rmtree(system)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "'denoising'" in done.stderr


@pytest.mark.parametrize(
    ("name", "code", "named"),
    [
        ("recipes.py", "RECIPES = {", "SyntaxError"),
        ("recipes.py", "", "RECIPES"),
        ("recipes.py", "RECIPES = [1]", "TypeError"),
        ("__init__.py", "1 / 0", "ZeroDivisionError"),
        ("command.py", "import no_such_package", "no_such_package"),
        ("recipes.py", "from training.recipes import Recipe\nRecipe('r', 'm', {'o': 1.0}, crop=0)", "crop 0"),
        (None, "", "__init__.py"),
    ],
)
def test_a_broken_system_is_named_in_one_sentence(
    house: Path, python: Run, name: str | None, code: str, named: str
) -> None:
    system = house / "training" / "systems" / "broken"
    system.mkdir()
    (system / "recipes.py").write_text("RECIPES = {}")
    if name:
        (system / "__init__.py").touch()
        (system / name).write_text(code)
    done = python("-m", "training", "--help", cwd=house, PYTHONPATH=f"{house}:{ROOT}")
    shutil.rmtree(system)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "broken" in done.stderr
    assert named in done.stderr
