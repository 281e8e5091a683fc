"""The private/shared encoder against plain matrix algebra, and the views of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from hear_multiview.encoders.base import embed, views_of
from hear_multiview.encoders.private_shared import VIEWS, PrivateSharedEncoder


@pytest.fixture
def encoder() -> PrivateSharedEncoder:
    torch.manual_seed(0)
    encoder = PrivateSharedEncoder(dim=6, width=8, depth=2)
    encoder.mean, encoder.scale = torch.randn(6), torch.rand(6) + 0.5
    return encoder


def test_against_numpy_in_float64(encoder: PrivateSharedEncoder) -> None:
    x = torch.randn(2, 3, 6)
    state = {k: v.double().numpy() for k, v in encoder.state_dict().items()}
    h = (x.double().numpy() - state["mean"]) / state["scale"]
    for linear, norm in (("net.0", "net.1"), ("net.3", "net.4")):
        h = h @ state[f"{linear}.weight"].T + state[f"{linear}.bias"]
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        h = h * state[f"{norm}.weight"] + state[f"{norm}.bias"]
        h = h * (1 + erf(h / np.sqrt(2))) / 2
    h = h @ state["net.6.weight"].T + state["net.6.bias"]
    private, shared = encoder(x)
    np.testing.assert_allclose(private.detach().numpy(), h[..., :3], atol=1e-5)
    np.testing.assert_allclose(shared.detach().numpy(), h[..., 3:], atol=1e-5)


def test_joint_is_private_then_shared(encoder: PrivateSharedEncoder) -> None:
    x = torch.randn(1, 4, 6)
    views = {view: embed(encoder, x, view) for view in VIEWS}
    assert torch.equal(views["joint"], torch.cat([views["private"], views["shared"]], dim=-1))
    assert torch.equal(views["frontend"], x)
    assert views_of(encoder) == VIEWS


def test_a_frame_does_not_see_its_neighbours(encoder: PrivateSharedEncoder) -> None:
    x = torch.randn(1, 5, 6)
    changed = x.clone()
    changed[0, 2] += 1
    difference = (embed(encoder, x, "joint") - embed(encoder, changed, "joint")).abs().sum(-1)[0]
    assert difference[2] > 0
    assert torch.all(difference[[0, 1, 3, 4]] == 0)


def test_an_odd_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dim .*even.* 7"):
        PrivateSharedEncoder(dim=7)


def test_a_latent_of_its_own_size() -> None:
    encoder = PrivateSharedEncoder(dim=7, width=8, latent=4)
    assert [embed(encoder, torch.zeros(2, 7), view).shape[-1] for view in VIEWS] == [4, 2, 2, 7]
    with pytest.raises(ValueError, match=r"latent .*even.* 3"):
        PrivateSharedEncoder(dim=6, latent=3)
