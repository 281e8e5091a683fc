"""The paper's command: whole on a few clips, killed and resumed to the same bytes, and what it refuses."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hear_multiview.frontends import load_frontend
from sonyc_tasks.synthesis import synthesize
from training.systems.multiview.experiment import named, paper, submissions
from training.systems.multiview.recipes import ABLATION, BASELINES, BEST, RECIPES, small
from training.systems.multiview.rows import FRONT_END, LOG_MEL, ROWS, front_end_row, table_rows

#: Enough rows for every kind of method, small enough for a test.
KEPT = ("multiview_rec", "multiview_cosine_private_sample", "single_view", "supervised_sensor")
#: The same in a process of its own: the command with fewer recipes, of one epoch.
SCRIPT = f"""
import logging
import sys
from dataclasses import replace
from pathlib import Path
from training.systems.multiview import experiment as paper
from training.distributed import init, is_main

if __name__ == "__main__":
    kept = {KEPT!r}
    paper.PAPER_RECIPES = {{name: recipe for name, recipe in paper.PAPER_RECIPES.items() if name in kept}}
    shrink = paper.SCALES["small"].recipe
    tiny = lambda r: replace(shrink(r), epochs=2, model={{**r.model, "width": 32}})
    paper.SCALES["small"] = replace(paper.SCALES["small"], recipe=tiny)
    init("cpu")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("training").setLevel(logging.INFO if is_main() else logging.ERROR)
    data, out, seeds, frontend, *recipes = sys.argv[1:]
    paper.paper(Path(out), Path(data), seeds=int(seeds), frontend=frontend, recipes=recipes or None, workers=2)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 generated sensors with 20 clips of half a second each."""
    folder = tmp_path_factory.mktemp("data") / "mini"
    return synthesize(folder, sensors=8, clips_per_sensor=20, seconds=0.5, seed=11, workers=1, progress=False)


def start(data: Path, out: Path, script: Path, *arguments: str, launcher: Sequence[str] = ()) -> subprocess.Popen[str]:
    environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *launcher, str(script), str(data), str(out), *(arguments or ("2", "demo"))],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a whole run, and what it printed."""
    root = tmp_path_factory.mktemp("paper")
    script = root / "script.py"
    script.write_text(SCRIPT)
    run = start(data, root / "straight", script)
    printed, _ = run.communicate(timeout=1200)
    assert run.returncode == 0, printed
    return root / "straight", printed


def killed_when(run: subprocess.Popen[str], sign: Path, pattern: str) -> None:
    """SIGKILL for ``run`` as soon as something under ``sign`` matches ``pattern``."""
    for _ in range(6000):
        if next(sign.glob(pattern), None) or run.poll() is not None:
            break
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.communicate()


@pytest.mark.slow
def test_everything_is_there(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    for name in ("table1", "table2", "linear_table1", "linear_table2"):
        for ending in (".md", ".csv", ".tex"):
            assert (folder / f"{name}{ending}").stat().st_size > 500
    for name in ("figure2", "linear_figure2", "curves"):
        assert (folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert (folder / f"{name}.pdf").read_bytes()[:4] == b"%PDF"
    page = (folder / "page.html").read_text()
    assert "<script" in page
    assert "no real recording" in page  # the data set says of itself that it is generated
    assert "single-view autoencoder" in printed
    assert "Page: " in printed
    rows = list(csv.DictReader((folder / "scores.csv").open()))
    methods = {row["method"] for row in rows}
    assert methods == {*KEPT, FRONT_END, LOG_MEL}
    assert {row["view"] for row in rows if row["method"] == "multiview_rec"} == {"joint", "private", "shared"}
    assert {row["view"] for row in rows if row["method"] in ("single_view", FRONT_END)} == {"joint"}
    assert {row["seed"] for row in rows} == {"0", "1"}
    overview = (folder / "overview.txt").read_text()
    assert re.search(r"multiview_rec +6 of 6 probes +6 of 6 probes", overview)


@pytest.mark.slow
def test_begun_with_one_recipe_and_killed_three_times_it_ends_with_the_same_bytes(
    finished: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    straight, _ = finished
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "killed"
    run = start(data, out, script, "1", "demo", "single_view")
    printed, _ = run.communicate(timeout=1200)
    assert run.returncode == 0, printed
    assert "L_cos" not in printed
    assert {row["method"] for row in csv.DictReader((out / "scores.csv").open())} == {"single_view", FRONT_END, LOG_MEL}
    assert not (out / "figure2.pdf").exists()
    (first,) = out.glob("runs/*/checkpoint.safetensors")
    made = first.stat().st_mtime_ns
    for pattern in (
        "runs/*seed1/state.pt",
        "seed0/embeddings/multiview_rec/*/*/train/*.npy",
        "seed1/embeddings/*/*/*/prediction-done.json",
    ):
        killed_when(start(data, out, script), out, pattern)
    run = start(data, out, script)
    printed, _ = run.communicate(timeout=1200)
    assert run.returncode == 0, printed
    for probe in ("", "linear_"):
        for name in ("scores.csv", "table1.md", "table1.csv", "table1.tex", "table2.md", "table2.csv", "table2.tex"):
            assert (out / f"{probe}{name}").read_bytes() == (straight / f"{probe}{name}").read_bytes(), probe + name
    assert (out / "figure2.pdf").read_bytes() == (straight / "figure2.pdf").read_bytes()
    assert first.stat().st_mtime_ns == made


@pytest.mark.slow
def test_two_processes_end_with_the_same_bytes(finished: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    straight, _ = finished
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    options = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --main_process_port 0 --num_machines 1"
    launcher = f"{options} --mixed_precision no --dynamo_backend no".split()
    run = start(data, tmp_path / "two", script, launcher=launcher)
    printed, _ = run.communicate(timeout=1200)
    assert run.returncode == 0, printed
    for name in ("scores.csv", "table1.md", "table2.md", "linear_scores.csv"):
        assert (tmp_path / "two" / name).read_bytes() == (straight / name).read_bytes(), name


@pytest.mark.slow
def test_results_of_other_recipes_are_not_mixed(finished: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another recipes"):
        paper(finished[0], data)
    tasks = sorted((finished[0] / "seed0" / "tasks").rglob("*.json"))
    before = [path.read_bytes() for path in tasks]
    other = synthesize(tmp_path / "other", sensors=8, clips_per_sensor=20, seconds=0.1, seed=12, progress=False)
    with pytest.raises(ValueError, match="another recipes and another clips or split"):
        paper(finished[0], other)
    assert [path.read_bytes() for path in tasks] == before


@pytest.mark.slow
def test_any_hear_module_can_be_the_front_end(data: Path, tmp_path: Path) -> None:
    name = "hear:hear_multiview.references.random_projection"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = start(data, tmp_path / "out", script, "1", name)
    printed, _ = run.communicate(timeout=1200)
    assert run.returncode == 0, printed
    assert "\nrandom_projection frames, no encoder  " in printed
    assert "codec latents" not in printed
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert {row["method"] for row in rows} == {*KEPT, FRONT_END, LOG_MEL}


def test_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'huge'.*small or full"):
        paper(tmp_path, scale="huge")
    with pytest.raises(ValueError, match="0 seeds"):
        paper(tmp_path, seeds=0)
    with pytest.raises(ValueError, match="'typo'") as caught:
        paper(tmp_path, recipes=["single_view", "typo"])
    assert all(row.method in str(caught.value) for row in ROWS)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="0 recipes"):
        paper(tmp_path, recipes=[])
    assert not any(tmp_path.iterdir())


def test_recipes_are_chosen_by_name_each_once_in_their_own_order() -> None:
    every = [small(recipe) for recipe in (*ABLATION, *BASELINES)]
    chosen = named(["single_view", "multiview_rec", "single_view"], every)
    assert [recipe.name for recipe in chosen] == ["multiview_rec", "single_view"]
    assert all(recipe in every for recipe in chosen)


@pytest.mark.parametrize("subset", [["multiview_rec"], ["single_view", "contrastive"], [BEST.name]])
def test_the_tables_have_the_rows_of_what_was_trained(subset: list[str]) -> None:
    first, second = table_rows([RECIPES[name] for name in subset], BEST.name, "demo")
    untrained = [FRONT_END, LOG_MEL]
    in_both = [name for name in subset if name == BEST.name]
    assert [row.method for row in first] == [*(in_both or [n for n in subset if "multiview" not in n]), *untrained]
    assert [row.method for row in second] == [*(name for name in subset if "multiview" in name), *untrained]


@pytest.mark.parametrize("name", ["dac_44khz", "demo"])
def test_a_codec_stands_beside_the_papers_codec(name: str) -> None:
    row = front_end_row(name)
    assert name in row.label
    assert row.published == (0.583, 0.684)


@pytest.mark.parametrize("name", ["log_mel", "mel_128", "hear:some.module"])
def test_another_front_end_has_a_name_of_its_own_and_nothing_published(name: str) -> None:
    row = front_end_row(name)
    assert name.rpartition(".")[2] in row.label
    assert "codec" not in row.label
    assert row.published == (None, None)


def test_every_row_of_the_paper_is_there() -> None:
    recipes = (*ABLATION, *BASELINES)
    assert sorted(recipe.name for recipe in recipes) == sorted(row.method for row in ROWS)
    first, second = table_rows(recipes, BEST.name, "dac_44khz")
    assert [len(first), len(second)] == [1 + 4 + 2, 9 + 2]
    assert first[0].published == (0.633, 0.735)
    with pytest.raises(ValueError, match="newcomer"):
        table_rows([*recipes, replace(BEST, name="newcomer")], BEST.name, "dac_44khz")
    assert all(RECIPES[recipe.name] == recipe for recipe in recipes)
    assert all(small(recipe).digest != recipe.digest for recipe in recipes)


def test_the_front_end_comes_first_and_each_view_once(tmp_path: Path) -> None:
    rows = submissions(tmp_path, (*ABLATION, *BASELINES), 0, load_frontend("demo"), None)
    assert [row.label for row in rows[:2]] == [FRONT_END, LOG_MEL]
    assert len({row.folder for row in rows}) == len(rows) == 2 + 9 * 3 + 4
    given = submissions(tmp_path, ABLATION[:1], 0, load_frontend("demo"), tmp_path / "w.pth")
    assert all("frontend_weights" in row.options for row in given if row.label != LOG_MEL)
