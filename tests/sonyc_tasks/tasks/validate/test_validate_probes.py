"""Sets at which heareval's probes end, or its scores have no value."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.utils.data import BatchSampler

from sonyc_tasks.tasks.validate.probes import probe_faults, probe_warnings
from sonyc_tasks.tasks.validate.task import errors_of, validate_task

Task = Callable[..., Path]

SCENE: dict[str, Any] = {"embedding_type": "scene", "split_mode": "trainvaltest", "evaluation": ["mAP"]}
EVENT = {**SCENE, "embedding_type": "event", "evaluation": ["event_onset_200ms_fms", "segment_1s_er"]}
FOLDS = {**SCENE, "split_mode": "presplit_kfold"}


def grid(**values: Any) -> dict[str, Any]:
    return {"evaluation_params": {"task_specific_param_grid": values}}


@lru_cache
def probe_trains(rows: int, batch: int) -> bool:
    """Whether torch's BatchNorm takes every batch that torch's own sampler makes of a training set."""
    sizes = {len(own) for own in BatchSampler(range(rows), batch, drop_last=False)}
    try:
        for size in sizes:
            torch.nn.BatchNorm1d(2).train()(torch.zeros(size, 2))
    except ValueError:
        return False
    return True


near = st.builds(lambda k, off: max(1, 1024 * k + off), st.integers(0, 3), st.integers(-3, 3))


@settings(deadline=None)
@given(rows=near)
def test_sizes_around_whole_batches(rows: int) -> None:
    faults = list(probe_faults(SCENE, {"train": rows, "valid": 1025, "test": 1025}))
    assert (not faults) == probe_trains(rows, 1024)
    assert all(file == "train.json" and str(rows) in fault for file, fault in faults)


@settings(deadline=None)
@given(rows=st.integers(1, 40), batches=st.lists(st.integers(1, 20), min_size=1, max_size=3))
def test_batches_of_the_tasks_own_grid(rows: int, batches: list[int]) -> None:
    faults = list(probe_faults(SCENE | grid(batch_size=batches), {"train": rows, "valid": 3, "test": 3}))
    assert (not faults) == all(probe_trains(rows, batch) for batch in batches)


@settings(deadline=None)
@given(sizes=st.lists(st.sampled_from([340, 341, 342, 343, 512, 513]), min_size=3, max_size=6))
def test_any_rotation_of_the_folds(sizes: list[int]) -> None:
    count = len(sizes)
    trained = [sum(sizes) - sizes[test] - sizes[(test + 1) % count] for test in range(count)]
    faults = list(probe_faults(FOLDS, {f"fold{number:02d}": size for number, size in enumerate(sizes)}))
    assert len(faults) == sum(not probe_trains(rows, 1024) for rows in trained)


def test_probes_without_batch_norm_take_any_size() -> None:
    sizes = {"train": 1025, "valid": 3, "test": 3}
    assert list(probe_faults(SCENE | grid(hidden_layers=[0]), sizes)) == []
    assert list(probe_faults(SCENE | grid(hidden_layers=[0, 1]), sizes))
    assert list(probe_faults(EVENT, sizes)) == []  # its rows are frames


def test_one_clip_too_many_in_a_folder(task: Task) -> None:
    train = {f"{number}.wav": ["cat", "dog"] for number in range(5)}
    (error,) = errors_of(validate_task(task(grid(batch_size=[4]), {"train": train})))
    assert "train.json" in error


def test_folds_of_one_clip(task: Task) -> None:
    folds = {f"fold{n:02d}": {f"{n}.wav": ["cat", "dog"]} for n in range(3)}
    errors = errors_of(validate_task(task({"split_mode": "presplit_kfold", "splits": list(folds)}, folds)))
    assert len(errors) == 3  # each probe trains on one clip


def test_folds_in_a_folder(task: Task, only: Callable[..., None]) -> None:
    folds = {f"fold{n:02d}": {f"{n}a.wav": ["cat"], f"{n}b.wav": ["dog"]} for n in range(3)}
    folder = task({"split_mode": "presplit_kfold", "splits": list(folds)}, folds)
    assert validate_task(folder) == []
    (folder / "fold01.json").write_text('{"1a.wav": ["cat"], "1b.wav": ["cat"]}')
    only(folder, "fold01.json: warning", "no clip has dog")


@pytest.mark.parametrize(
    ("values", "name"),
    [({"batch_size": 64}, "batch_size"), ({"lr": []}, "lr"), ({"hidden_norm": ["BatchNorm1d"]}, "hidden_norm")],
)
def test_settings_that_heareval_cannot_take(values: dict[str, Any], name: str) -> None:
    (fault,) = probe_faults(SCENE | grid(**values), {"train": 4, "valid": 3, "test": 3})
    assert name in fault[1]


def test_events_selected_by_loss_need_one_post_processing() -> None:
    metadata = {**EVENT, "use_scoring_for_early_stopping": False}
    sizes = {"train": 4, "valid": 3, "test": 3}
    assert list(probe_faults(metadata, sizes))
    post = {"median_filter_ms": [250], "min_duration": [125]}
    assert list(probe_faults({**metadata, "evaluation_params": {"event_postprocessing_grid": post}}, sizes)) == []


# ---------------------------------------------------------------------------------------------------- scores


def warned(metadata: dict[str, Any], **sets: list[str]) -> list[tuple[str, str]]:
    """Warnings on sets of clips like ["a", "ab", ""], of the classes a, b and c."""
    full = {"train": ["a", "bc"], "valid": ["a", "bc"], "test": ["a", "bc"]}
    clips = {split: [set(own) for own in members] for split, members in (full | sets).items()}
    return list(probe_warnings(metadata, clips, ["a", "b", "c"]))


def test_complete_sets_have_no_warnings() -> None:
    for scores in (["mAP"], ["aucroc", "d_prime"], ["top1_acc"]):
        assert warned({**SCENE, "evaluation": scores}) == []


@pytest.mark.parametrize("first", ["aucroc", "d_prime"])
@pytest.mark.parametrize("clips", [["a", "b"], ["ac", "bc"]])
def test_a_score_without_value_on_valid_stops_the_probe(first: str, clips: list[str]) -> None:
    """heareval's score is NaN there (scikit-learn's area of such a class), and Lightning then ends the training."""
    target = np.array([[name in own for name in "abc"] for own in clips])
    with pytest.warns(UserWarning, match="ROC|class|score"):
        assert np.isnan(roc_auc_score(target, np.random.default_rng(0).random(target.shape)))
    ((file, warning),) = [
        one for one in warned({**SCENE, "evaluation": [first]}, valid=clips) if one[0] != "task_metadata.json"
    ]
    assert file == "valid.json"
    assert " c;" in warning
    assert first in warning
    # by the loss, or by another score, the probe is selected as usual
    by_loss = {**SCENE, "evaluation": [first], "use_scoring_for_early_stopping": False}
    assert warned(by_loss, valid=clips) == []
    assert warned({**SCENE, "evaluation": ["mAP", first]}, valid=clips) == []


def test_d_prime_should_not_be_first() -> None:
    for scores, expected in ((["d_prime"], 1), (["mAP", "d_prime"], 0)):
        assert len(warned({**SCENE, "evaluation": scores})) == expected
    assert warned({**SCENE, "evaluation": ["d_prime"]})[0][0] == "task_metadata.json"


def test_a_class_that_no_test_clip_has() -> None:
    ((file, warning),) = warned({**SCENE, "evaluation": ["mAP", "aucroc"]}, test=["a", "b"])
    assert file == "test.json"
    assert " c;" in warning
    assert "aucroc" in warning
    target = np.array([[1, 0, 0], [0, 1, 0]])
    with pytest.warns(UserWarning, match="No positive class"):
        perfect = average_precision_score(target, target, average="macro")
    assert f"{perfect:.3f}" in warning


def test_a_class_that_every_test_clip_has_leaves_map_alone() -> None:
    assert warned(SCENE, test=["ac", "bc"]) == []
    ((file, warning),) = warned({**SCENE, "evaluation": ["mAP", "d_prime"]}, test=["ac", "bc"])
    assert (file, "d_prime" in warning, "mAP" in warning) == ("test.json", True, False)


def test_a_class_that_cannot_be_learned() -> None:
    ((file, warning),) = warned({**SCENE, "evaluation": ["top1_acc"]}, train=["a", "c"])
    assert file == "train.json"
    assert " b;" in warning


def test_nothing_to_select_by() -> None:
    ((file, _),) = warned(SCENE, valid=["", ""])
    assert file == "valid.json"


def test_every_fold_validates_and_tests() -> None:
    folds = {f"fold{number:02d}": [{"a"}, {"b", "c"}] for number in range(4)} | {"fold02": [{"a"}, {"b"}]}
    ((file, warning),) = probe_warnings({**FOLDS, "evaluation": ["aucroc"]}, folds, ["a", "b", "c"])
    assert (file, " c;" in warning, "stops" in warning, "NaN" in warning) == ("fold02.json", True, True, True)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_sets_without_events(split: str) -> None:
    for scores in (["event_onset_200ms_fms"], ["segment_1s_er"]):
        ((file, warning),) = warned({**EVENT, "evaluation": scores}, **{split: ["", ""]})
        assert file == f"{split}.json"
        assert scores[0] in warning
    assert warned(EVENT) == []
    assert [file for file, _ in warned(EVENT, test=["a", "b"])] == ["test.json"]


def test_short_clips_of_events(task: Task, clip: Callable[..., None]) -> None:
    """A clip of one frame, and heareval's post-processing ends. A model's hop is at most 50 ms, as HEAR has it."""
    event = [{"label": name, "start": 0, "end": 60} for name in ("cat", "dog")]
    splits = {split: {f"{split}{n}.wav": event for n in range(2)} for split in ("train", "valid", "test")}
    folder = task({**EVENT, "sample_duration": None}, splits)
    clip(folder / "8000" / "test" / "test1.wav", frames=500)
    (finding,) = [one for one in validate_task(folder) if "lasts" in one]
    assert "test.json:3: warning: test1.wav" in finding
