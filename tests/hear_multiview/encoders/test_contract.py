"""What every encoder in the registry promises: parts, stride, context, pool, and a place in a checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hear_multiview import checkpoint
from hear_multiview.embedder import Embedder
from hear_multiview.encoders import ENCODERS, make_encoder
from hear_multiview.encoders.base import Encoder, embed, views_of
from hear_multiview.frontends import load_frontend

SETTINGS: list[dict[str, Any]] = [
    {"kind": "mlp", "dim": 8, "width": 16, "depth": 1},
    {"kind": "mlp", "dim": 6, "width": 16, "latent": 4},
    {"kind": "conv2d", "dim": 16, "channels": [4, 8], "strides": [2, 1], "latent": 6},
    {"kind": "conv2d", "dim": 12, "channels": [4, 8, 8], "strides": [1, 3, 2], "frequency": "max", "pool": "mean"},
    {"kind": "conv2d", "dim": 64},
    {"kind": "conv1d", "dim": 8, "channels": [8, 8], "strides": [1, 1], "latent": 4},
    {"kind": "conv1d", "dim": 32},
    {"kind": "patches", "dim": 8, "private": 6, "shared": 4, "window": 5, "width": 16},
    {"kind": "patches", "dim": 6, "private_frames": 2, "shared_frames": 6, "window": 9, "width": 8, "pool": "mean"},
    {"kind": "patches", "dim": 8, "private": 2, "shared": 4, "window": 3, "width": 4, "shared_pool": "mean"},
    {"kind": "efficientnet_b0", "dim": 40, "latent": 5},
    {"kind": "efficientnet_b0", "dim": 33, "latent": 3, "frequency": "flatten", "pool": "mean"},
]


@pytest.fixture(params=SETTINGS, ids=lambda given: "-".join(map(str, given.values())))
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture
def encoder(settings: dict[str, Any]) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = make_encoder(**settings)
        encoder.mean.copy_(torch.randn(settings["dim"]))
        encoder.scale.copy_(torch.rand(settings["dim"]) + 0.5)
        normalisations = [layer for layer in module(encoder).modules() if isinstance(layer, nn.BatchNorm2d)]
        if normalisations:  # without statistics they let nothing through
            for layer in normalisations:
                layer.momentum = None
            module(encoder).train()(torch.randn(2, 200, settings["dim"]))
    module(encoder).eval()
    return encoder


def module(encoder: Encoder) -> nn.Module:
    assert isinstance(encoder, nn.Module)
    return encoder


def frames(encoder: Encoder, count: int, clips: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(clips, count, len(encoder.mean), generator=torch.Generator().manual_seed(seed))


def test_every_encoder_is_tried() -> None:
    assert {given["kind"] for given in SETTINGS} == set(ENCODERS)


@pytest.mark.parametrize("count", [1, 2, 3, 29, 30])
def test_parts_have_their_sizes_and_a_frame_per_stride(encoder: Encoder, count: int) -> None:
    x = frames(encoder, count)
    parts = encoder(x)
    expected = [(2, math.ceil(count / encoder.stride), size) for size in encoder.parts.values()]
    assert [tuple(part.shape) for part in parts] == expected
    assert views_of(encoder) == ("joint", *encoder.parts, "frontend")
    assert torch.equal(embed(encoder, x, "joint"), torch.cat(parts, dim=-1))
    assert torch.equal(embed(encoder, x, "frontend"), x)
    for name, part in zip(encoder.parts, parts, strict=True):
        assert torch.equal(embed(encoder, x, name), part)


def test_stride_and_context_bound_what_an_output_frame_sees(encoder: Encoder) -> None:
    """All that is outside may change; each of the frames that it stands for counts, and so does one at the far end."""
    stride, context = encoder.stride, encoder.context
    output = 2 + math.ceil(context / stride)
    first, last = output * stride, (output + 1) * stride - 1
    x = frames(encoder, last + context + 20)
    expected = embed(encoder, x, "joint")[:, output]

    def changed(where: slice) -> bool:
        other = x.clone()
        other[:, where] += frames(encoder, len(range(*where.indices(x.shape[1]))), seed=1)
        return not torch.allclose(embed(encoder, other, "joint")[:, output], expected, atol=1e-6)

    assert not changed(slice(0, first - context))
    assert not changed(slice(last + context + 1, None))
    assert all(changed(slice(place, place + 1)) for place in range(first, last + 1))
    assert changed(slice(first - context, first - context + 1)) or changed(slice(last + context, last + context + 1))


def test_a_clip_is_the_same_in_any_company(encoder: Encoder) -> None:
    x = frames(encoder, 40, clips=5)
    together = embed(encoder, x, "joint")
    for clip in range(5):
        torch.testing.assert_close(embed(encoder, x[clip : clip + 1], "joint"), together[clip : clip + 1])


def test_frames_are_standardised_first(encoder: Encoder) -> None:
    x = frames(encoder, 10)
    expected = embed(encoder, x, "joint")
    standard = (x - encoder.mean) / encoder.scale
    torch.testing.assert_close(encoder.standardise(x), standard)
    encoder.mean.zero_()
    encoder.scale.fill_(1)
    torch.testing.assert_close(embed(encoder, standard, "joint"), expected)


def test_how_it_pools(encoder: Encoder, settings: dict[str, Any]) -> None:
    pool = settings.get("pool", {"mlp": "mean", "patches": "statistics"}.get(settings["kind"], "max"))
    expected = dict.fromkeys(encoder.parts, pool)
    assert encoder.pools == expected | ({"shared": settings["shared_pool"]} if "shared_pool" in settings else {})


def test_a_checkpoint_brings_it_back(encoder: Encoder, settings: dict[str, Any], tmp_path: Path) -> None:
    card = {"frontend": {"name": "x", "sha256": ""}, "encoder": settings, "views": views_of(encoder)}
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    checkpoint.save(tmp_path / "c.safetensors", tensors, card)
    again = checkpoint.load(tmp_path / "c.safetensors").encoder()
    module(again).eval()
    x = frames(encoder, 10)
    assert torch.equal(embed(again, x, "joint"), embed(encoder, x, "joint"))


def test_a_checkpoint_without_a_kind_is_of_an_mlp() -> None:
    assert views_of(make_encoder(dim=4)) == ("joint", "private", "shared", "frontend")


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'lstm'.*mlp, conv1d, conv2d"):
        make_encoder("lstm", dim=4)
    with pytest.raises(ValueError, match="'mean'"):
        make_encoder("conv2d", dim=4, frequency="mean")
    for kind in ("conv1d", "patches"):  # else it would be served as the mean
        with pytest.raises(ValueError, match=r"'median'.*statistics"):
            make_encoder(kind, dim=4, pool="median")
    with pytest.raises(ValueError, match=r"'median'.*statistics"):
        make_encoder("patches", dim=4, shared_pool="median")
    with pytest.raises(ValueError, match=r"'median'.*statistics"):
        Embedder(load_frontend("log_mel"), None, "frontend", pool="median")
    with pytest.raises(ValueError, match=r"2 layers .* 1 strides"):
        make_encoder("conv1d", dim=4, channels=[2, 2], strides=[1])


def test_its_arguments_make_another_one_like_it(encoder: Encoder) -> None:
    again = make_encoder(**encoder.arguments)
    module(again).eval()
    again.load_state_dict(encoder.state_dict())
    x = frames(encoder, 9)
    assert all(torch.equal(a, b) for a, b in zip(again(x), encoder(x), strict=True))
