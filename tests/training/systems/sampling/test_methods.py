"""The encoder with its heads against its definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from training.data.batches import Batch
from training.systems.sampling.methods import SamplingEncoder

SMALL: dict[str, Any] = {"channels": [4, 8], "strides": [2, 2], "latent": 6, "projection": 5}
NAMES = (("original",) * 3, ("original",) * 3, ("pitch(-3)", "pitch(1.5)", "original"))


def make(**model: Any) -> SamplingEncoder:
    torch.manual_seed(0)
    return SamplingEncoder(dim=8, **SMALL, **model)


def batch(views: int = 3) -> Batch:
    """Three examples of 20 frames."""
    return Batch(tuple(torch.randn(views, 3, 20, 8)), {}, renditions=NAMES[:views])


def test_definition() -> None:
    """z = Linear(tanh(LN(max_t h))) of a clip, the same of h_t for a frame; for pitch the difference of two numbers."""
    model, given = make(), batch()
    out = model(given)
    h = [model.encoder(x)[0] for x in given.views]  # [example, 5 frames, 6]
    for k in range(2):
        torch.testing.assert_close(out.clip[k], model.clip_head(h[k].max(dim=1).values))
    torch.testing.assert_close(out.frame[0], model.frame_head(torch.cat(h)))
    assert out.frame[0] is out.frame[1]
    normal, _, linear = model.pitch_head
    p = [linear(torch.tanh(normal(x)))[..., 0] for x in h]
    torch.testing.assert_close(out.shift_hat, p[2] - p[0])


def test_the_true_shift_is_in_units_of_the_largest() -> None:
    assert make(largest_shift=3.0)(batch()).shift.tolist() == [-1, 0.5, 0]
    assert make(largest_shift=6.0)(batch()).shift.tolist() == [-0.5, 0.25, 0]
    shifted_first = replace(batch(), renditions=(NAMES[2], NAMES[1], NAMES[0]))
    assert make()(shifted_first).shift.tolist() == [1, -0.5, 0]


def test_the_last_of_four_views_is_the_shifted_one() -> None:
    given = batch()
    views = (*given.views[:2], given.views[1], given.views[2])
    four = Batch(views, {}, renditions=(*NAMES[:2], NAMES[1], NAMES[2]))
    model = make(frame_positive="copy")
    out = model(four)
    assert out.shift.tolist() == [-1, 0.5, 0]
    torch.testing.assert_close(out.shift_hat, model(given).shift_hat)
    torch.testing.assert_close(out.frame[1], model.frame_head(model.encoder(views[2])[0]))


def test_a_copy_as_it_is_has_no_shift() -> None:
    out = make(frame_positive="copy")(replace(batch(), renditions=(NAMES[0],) * 3))
    assert out.shift is out.shift_hat is None


def test_two_crops_have_no_shift() -> None:
    out = make()(batch(views=2))
    assert out.shift is out.shift_hat is None
    assert len(out.frame[0]) == 2 * 3


@pytest.mark.parametrize(
    ("model", "positive", "candidates"),
    [
        ({"frame_positive": "own"}, [{0}, {1}, {2}, {3}, {4}], 5),
        ({"frame_positive": "neighbours"}, [{1}, {0, 2}, {1, 3}, {2, 4}, {3}], 4),
        ({"frame_positive": "neighbours", "band": 2}, [{1, 2}, {0, 2, 3}, {0, 1, 3, 4}, {1, 2, 4}, {2, 3}], 4),
        ({"frame_positive": "copy"}, [{0}, {1}, {2}, {3}, {4}], 5),
    ],
)
def test_which_frames_are_right(model: dict[str, Any], positive: list[set[int]], candidates: int) -> None:
    out = make(**model)(batch())
    assert [set(torch.nonzero(row)[:, 0].tolist()) for row in out.positive] == positive
    assert out.candidate.sum(1).tolist() == [candidates] * 5
    assert (out.candidate | ~out.positive).all()


def test_a_copy_is_the_third_view() -> None:
    model, given = make(frame_positive="copy"), batch()
    out = model(given)
    for z, x in zip(out.frame, (given.views[0], given.views[2]), strict=True):
        torch.testing.assert_close(z, model.frame_head(model.encoder(x)[0]))
    with pytest.raises(ValueError, match=r"copy.*crops_and_copy"):
        model(batch(views=2))


@pytest.mark.parametrize("model", [{"similarity": "euclidean"}, {"frame_positive": "all"}, {"frequency": "mean"}])
def test_unknown_settings(model: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(model.values()))):
        make(**model)


def test_similarities() -> None:
    a, b = torch.randn(2, 4, 3, 5)
    bilinear = make().clip_similarity
    torch.testing.assert_close(bilinear(a, b), a @ b.mT / 5**0.5)  # before training
    bilinear.weight.data = torch.randn(5, 5)
    torch.testing.assert_close(bilinear(a, b), torch.einsum("nid,de,nje->nij", a, bilinear.weight, b))
    cosine = make(similarity="cosine", temperature=0.5).clip_similarity
    expected = torch.nn.functional.cosine_similarity(a[:, :, None], b[:, None], dim=-1) / 0.5
    torch.testing.assert_close(cosine(a, b), expected)
