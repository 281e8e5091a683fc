from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from sonyc_tasks.scores.metrics import jaccard
from sonyc_tasks.scores.results import Predictions
from sonyc_tasks.scores.score import Estimate, score_table

CLIPS = 60


def source(seed: int, quality: float, clips: int = CLIPS) -> Predictions:
    """8 classes; the larger ``quality``, the better the predictions. The targets do not depend on the seed."""
    target = np.random.default_rng(0).random((clips, 8)) < 0.3
    noise = np.random.default_rng(seed).random(target.shape)
    return Predictions(target, quality * target + (1 - quality) * noise)


def sensor(seed: int, quality: float) -> Predictions:
    target = np.eye(4, dtype=bool)[np.arange(CLIPS) % 4]
    return Predictions(target, quality * target + (1 - quality) * np.random.default_rng(seed).random(target.shape))


def test_a_row_per_view_in_the_order_of_the_table() -> None:
    views = {
        "frontend": {"sonyc_source": source(1, 0.2)},
        "shared": {"sonyc_sensor": sensor(2, 0.5)},
        "joint": {"sonyc_source": source(3, 0.4), "sonyc_sensor": sensor(3, 0.4)},
    }
    table = score_table("net", views, resamples=100)
    assert table.model == "net"
    assert [row.view for row in table.views] == ["joint", "shared", "frontend"]
    joint, shared, frontend = table.views
    assert shared.source_map is None
    assert frontend.sensor_accuracy is None
    assert (table.dsc_private, table.dsc_shared) == (None, None)
    predictions = views["joint"]["sonyc_source"]
    micro = joint.source_jaccard_micro
    assert micro is not None
    assert micro.value == jaccard(predictions.target, predictions.prediction > 0.5, "micro")
    assert micro.low is not None
    assert micro.high is not None
    assert micro.low < micro.value < micro.high
    assert micro.clips == CLIPS


def test_differences_are_paired_over_the_same_clips() -> None:
    private = {"sonyc_source": source(1, 0.6), "sonyc_sensor": sensor(1, 0.2)}
    shared = {"sonyc_source": source(1, 0.3), "sonyc_sensor": sensor(1, 0.3)}
    table = score_table("net", {"private": private, "shared": shared}, resamples=300)
    first, second = table.views
    for difference, minuend, subtrahend in (
        (table.dsc_private, first.source_jaccard_micro, second.source_jaccard_micro),
        (table.dsc_shared, second.sensor_accuracy, first.sensor_accuracy),
    ):
        assert difference is not None
        assert minuend is not None
        assert subtrahend is not None
        assert difference.value == pytest.approx(minuend.value - subtrahend.value)
        assert difference.clips == CLIPS
    # two views that answer alike differ by exactly nothing on every resample, if resamples are shared
    same = score_table("net", {"private": private, "shared": private}, resamples=50)
    assert same.dsc_private == Estimate(0.0, 0.0, 0.0, CLIPS)


def test_no_interval_where_the_clips_differ() -> None:
    views = {"private": {"sonyc_source": source(1, 0.6)}, "shared": {"sonyc_source": source(1, 0.3, clips=40)}}
    difference = score_table("net", views, resamples=50).dsc_private
    assert difference is not None
    assert (difference.low, difference.high, difference.clips) == (None, None, 40)


def test_the_table_is_reproducible() -> None:
    views = {"joint": {"sonyc_source": source(1, 0.3), "sonyc_sensor": sensor(1, 0.3)}}
    assert score_table("net", views, resamples=50) == score_table("net", views, resamples=50)
    assert score_table("net", views, resamples=50) != score_table("net", views, resamples=50, seed=1)


@pytest.mark.filterwarnings("ignore:No positive class")
def test_classes_without_a_test_clip_are_named() -> None:
    given = source(1, 0.6)
    target = given.target & (np.arange(8) != 7)
    names = (*"abcdefg", "8_dog")
    views = {view: {"sonyc_source": Predictions(target, given.prediction, names)} for view in ("joint", "private")}
    (note,) = score_table("net", views, resamples=5).notes
    assert "8_dog" in note
    assert f"{average_precision_score(target, target, average='macro'):.3f}" in note
    assert "joint, private" in note
    (unnamed,) = score_table(
        "net", {"joint": {"sonyc_source": Predictions(target, given.prediction)}}, resamples=5
    ).notes
    assert "class 7" in unnamed
    assert score_table("net", {"joint": {"sonyc_source": given}}, resamples=5).notes == ()
