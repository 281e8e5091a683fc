from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from sonyc_tasks.tasks.probe_batches import BATCH_SIZE, batch_sizes, has_lone_row, training_sizes


@given(st.integers(0, 70), st.integers(1, 12))
def test_a_lone_row_is_a_batch_of_one(rows: int, batch_size: int) -> None:
    batches = [len(batch) for batch in DataLoader(range(rows), batch_size=batch_size)]  # type: ignore[arg-type]
    assert has_lone_row(rows, batch_size) == (1 in batches)
    assert len(batches) == math.ceil(rows / batch_size)


def test_batch_norm_raises_at_a_lone_row() -> None:
    norm = torch.nn.BatchNorm1d(2)
    norm(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(torch.zeros(1, 2))


@given(st.dictionaries(st.text("abc01", min_size=1), st.integers(0, 5000), min_size=3, max_size=9))
@settings(deadline=None)  # the first example imports heareval
def test_folds_train_together_as_in_heareval(sizes: dict[str, int]) -> None:
    probes = pytest.importorskip("heareval.predictions.task_predictions")
    for mode in ("presplit_kfold", "new_split_kfold"):
        splits = probes.get_splits_from_metadata({"split_mode": mode, "splits": list(sizes)})
        assert list(training_sizes(sizes, mode).values()) == [
            sum(sizes[fold] for fold in split["train"]) for split in splits
        ]


def test_a_training_set_is_named() -> None:
    assert training_sizes({"train": 3, "valid": 1, "test": 1}, "trainvaltest") == {"train": 3}
    named = training_sizes({"fold02": 4, "fold00": 1, "fold01": 2}, "new_split_kfold")
    assert named == {
        "all folds but fold00 and fold01": 4,
        "all folds but fold01 and fold02": 1,
        "all folds but fold02 and fold00": 2,
    }


def test_batch_sizes_are_those_of_heareval() -> None:
    probes = pytest.importorskip("heareval.predictions.task_predictions")
    for grid in (probes.PARAM_GRID, probes.FAST_PARAM_GRID, probes.FASTER_PARAM_GRID):
        assert grid["batch_size"] == [BATCH_SIZE]
        assert grid["hidden_norm"] == [torch.nn.BatchNorm1d]


@pytest.mark.parametrize("params", [None, [], {}, {"task_specific_param_grid": {}}, {"task_specific_param_grid": 3}])
def test_a_task_without_a_grid_of_its_own_has_heareval_s(params: object) -> None:
    assert batch_sizes({"evaluation_params": params}) == (BATCH_SIZE,)
