"""Precision: of which device each is, and that objectives see fp32 whatever the model computes in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from training.data.batches import Batch
from training.engine.precision import check_precision, forward_in, products_in
from training.registry import entry
from training.systems.music.gaussians import Gaussian


@dataclass(frozen=True)
class Output:
    views: tuple[Tensor, Tensor]
    posterior: Gaussian
    labels: Tensor
    temperature: float


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Output:
        y = self.layer(x)
        posterior = Gaussian(y.float(), x)
        _ = posterior.sample  # drawn once, and remembered
        return Output((y, x), posterior, torch.ones(2, dtype=torch.int64), 0.1)


def test_objectives_see_fp32_and_what_was_drawn() -> None:
    model, x = Model(), torch.randn(4, 8)
    exact = forward_in("fp32", model, x)
    rounded = forward_in("bf16", model, x)
    assert rounded.views[0].dtype == rounded.views[1].dtype == torch.float32
    assert torch.equal(rounded.views[0], rounded.views[0].bfloat16().float())
    assert not torch.equal(rounded.views[0], exact.views[0])
    torch.testing.assert_close(rounded.views[0], exact.views[0], atol=0.05, rtol=2**-7)
    assert rounded.views[1] is x
    assert "sample" in vars(rounded.posterior)
    assert rounded.labels.dtype == torch.int64
    rounded.views[0].sum().backward()
    assert model.layer.weight.grad is not None
    assert model.layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("precision", "device", "named"), [("fp16", "cpu", "fp16"), ("tf32", "cpu", "tf32.*cpu"), ("", "cuda", "''")]
)
def test_what_there_is_not(precision: str, device: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_precision(precision, device)


def test_tf32_is_undone() -> None:
    check_precision("tf32", "cuda:1")
    before = torch.get_float32_matmul_precision()
    with products_in("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize(
    ("method", "own"),
    [("multiview_vae", {"latent": 4}), ("multiview", {}), ("multiview", {"mask": 0.5}), ("contrastive", {})],
)
def test_losses_of_methods_under_autocast(method: str, own: dict[str, float]) -> None:
    """The same draws, so that only roundings differ: 2^-8 each."""
    torch.manual_seed(0)
    model = entry("methods", method).build(16, {}, width=32, depth=2, **own)
    batch = Batch((torch.randn(8, 5, 16), torch.randn(8, 5, 16)), {})
    names = {
        "multiview": ["reconstruction", "cosine_private_sample", "cosine_shared_batch", "cosine_private_batch"],
        "multiview_vae": ["reconstruction", "mutual_information", "dimension_wise_kl"],
        "contrastive": ["info_nce"],
    }[method]
    losses = []
    for precision in ("fp32", "bf16"):
        torch.manual_seed(1)
        out = forward_in(precision, model, batch)
        losses.append([entry("objectives", name)(out).item() for name in names])
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
