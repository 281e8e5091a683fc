"""Front ends side by side, at the smallest size, through heareval; and the arithmetic of its differences."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.scores.results import Predictions
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.validate.task import errors_of, validate_task
from training.systems.multiview import frontend_table as module
from training.systems.multiview.frontend_table import COLUMNS, fold_tasks, frontend_table, score_column


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "mini-sonyc"
    synthesize(folder, sensors=3, clips_per_sensor=10, seconds=1.0, seed=5, workers=1, progress=False)
    return folder


def predictions(right: np.ndarray) -> dict[str, Predictions]:
    """Two classes, all clips of the first; ``right`` [clip] says where the first is also predicted."""
    target = np.tile([True, False], (len(right), 1))
    prediction = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
    return {task: Predictions(target, prediction) for task, _ in COLUMNS.values()}


def test_difference_is_paired() -> None:
    right = np.arange(40) % 2 == 0
    better = score_column(predictions(np.ones(40, bool)), predictions(right), "sensor accuracy")
    assert better.value == 1.0
    assert better.above_log_mel == 0.5
    assert better.above_log_mel_interval[0] > 0
    same = score_column(predictions(right), predictions(right), "sensor accuracy")
    assert (same.above_log_mel, same.above_log_mel_interval) == (0, (0, 0))
    assert same.interval[0] < same.value < same.interval[1]


def test_results_of_other_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="sonyc_sensor"):
        score_column(predictions(np.ones(4, bool)), predictions(np.ones(5, bool)), "sensor accuracy")


def test_every_clip_is_in_one_fold_of_a_sound_task(data: Path, tmp_path: Path) -> None:
    clips = read_clips(data)
    fold_tasks(clips, tmp_path / "tasks")
    for task in (tmp_path / "tasks").iterdir():
        assert errors_of(validate_task(task)) == []
        rates = [folder for folder in task.iterdir() if folder.is_dir()]
        assert {int(folder.name) for folder in rates} == set(module.SAMPLE_RATES)
        assert [len(list(folder.rglob("*.wav"))) for folder in rates] == [len(clips)] * len(rates)


@pytest.mark.slow
def test_table_through_heareval(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.codec_weights, "CACHE", tmp_path / "no official codec")
    table = frontend_table(data, tmp_path / "work")
    lines = [line.split("|")[1].strip() for line in table.splitlines() if line[:1] == "|" and " above " not in line]
    rows = [name for name in lines if not name.startswith("--")]
    assert rows == 2 * [*module.submissions(tmp_path / "work")]
    assert re.search("30 clips .* 3 sensors.* 5 folds", table)
    assert f"| {module.LOG_MEL} " in table
    assert frontend_table(data, tmp_path / "work") == table
