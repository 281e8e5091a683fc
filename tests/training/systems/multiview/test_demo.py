"""The main job end to end at the smallest size: everything real, heareval in its own processes, unmodified."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from hear_multiview.encoders.private_shared import VIEWS
from sonyc_tasks.files import TEMPORARY
from sonyc_tasks.scores.results import read_scores
from sonyc_tasks.tasks.validate.task import errors_of, validate_task
from training.engine.run_folder import check_or_write_manifest
from training.probes import heareval_jobs
from training.systems.multiview import demo

SIZE = {"sensors": 8, "clips_per_sensor": 20, "seconds": 1.0, "seed": 0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo of `SIZE`."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SIZE", SIZE)
        demo.demo(folder)
    return folder


@pytest.mark.slow
def test_every_view_is_scored_on_both_tasks(finished: Path) -> None:
    (views,) = read_scores(finished / "embeddings").values()
    assert set(views) == set(VIEWS)
    for tasks in views.values():
        assert set(tasks) == {"sonyc_source", "sonyc_sensor"}


@pytest.mark.slow
def test_task_folders_are_sound_and_share_their_audio(finished: Path) -> None:
    tasks = sorted((finished / "tasks").iterdir())
    assert [task.name for task in tasks] == ["sonyc_sensor-v1-full", "sonyc_source-v1-full"]
    for task in tasks:
        assert errors_of(validate_task(task)) == []
    sensor, source = ({p.stat().st_ino for p in task.rglob("*.wav")} for task in tasks)
    assert sensor == source


@pytest.mark.slow
def test_the_front_end_ran_once_for_each_clip(finished: Path) -> None:
    clips = {path.name for path in (finished / "tasks").rglob("*.wav")}
    assert len(list((finished / "frames").iterdir())) == len(clips)


@pytest.mark.slow
def test_pretraining_never_saw_a_probe_clip(finished: Path) -> None:
    pretraining = {clip["name"] for clip in json.loads((finished / "latents" / "store.json").read_text())["clips"]}
    probes = {path.name for path in (finished / "tasks").rglob("*.wav")}
    assert pretraining
    assert probes
    assert not {name[:2] for name in pretraining} & {name[:2] for name in probes}


@pytest.mark.slow
def test_the_page_holds_every_score_and_loads_nothing(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert all(f'<th scope="row">{view}' in page for view in VIEWS)
    assert page.count("data:audio") > 10
    assert "map" in page
    assert "generated" in page
    assert not re.search(r"(src|href)=[\"']?https?:", page)


@pytest.mark.slow
def test_a_second_run_does_nothing_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(demo, "SIZE", SIZE)
    monkeypatch.setattr(heareval_jobs.subprocess, "Popen", None)
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    caplog.set_level("INFO", "training")
    demo.demo(finished)
    printed = "\n".join(caplog.messages)
    assert "| joint " in printed
    assert "DSCΔ private" in printed
    assert "What this is: a small run on generated data" in printed
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed <= {"report.html", "made-of.json", "curves.png", "curves.pdf"}


@pytest.mark.slow
def test_other_settings_start_afresh(finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(finished, folder)
    caplog.set_level("INFO", "training")
    made_of = json.loads((folder / "made-of.json").read_text())
    demo._start_afresh_if_changed(folder, dict.fromkeys(made_of, "another"))
    assert str(folder) in caplog.text
    assert [path.name for path in folder.iterdir()] == ["made-of.json"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        demo.demo(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_another_experiment_is_left_alone(tmp_path: Path) -> None:
    """Runs and experiments have a record of the same name."""
    check_or_write_manifest(tmp_path / "made-of.json", {"latent store": "abc", "precision": "fp32"})
    (tmp_path / "checkpoint.safetensors").write_text("hours of work")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        demo.demo(tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_text() == "hours of work"


def test_a_failing_heareval_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "tasks" / "broken").mkdir(parents=True)
    (tmp_path / "tasks" / "broken" / "task_metadata.json").write_text('{"splits": []}')
    with pytest.raises(ValueError, match=r"nowhere.*\.log"):
        heareval_jobs.run_embeddings(tmp_path, heareval_jobs.views_of(tmp_path / "nowhere.safetensors", ["joint"]))


def test_a_demo_that_was_being_deleted_is_still_a_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{TEMPORARY}0123456789ab").write_text("{")
    demo._start_afresh_if_changed(tmp_path, {"size": 1})
    for name in ("a", "z"):
        (tmp_path / name).mkdir()

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            demo._start_afresh_if_changed(tmp_path, {"size": 2})
    demo._start_afresh_if_changed(tmp_path, {"size": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["made-of.json"]
