"""The encoder's layers against their formulas and against the codec's own modules."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from dac.model.dac import Encoder, EncoderBlock
from torch import Tensor, nn

from hear_multiview.frontends.dac.encoder import Convolution, Stage, _block, shapes, stages


@pytest.fixture
def block() -> EncoderBlock:
    """Seeded, with every α of its own."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        made = EncoderBlock(32, stride=4)
        for name, parameter in made.named_parameters():
            if name.endswith("alpha"):
                parameter.data.uniform_(0.2, 3)
    return made.requires_grad_(False)


def tensors(block: EncoderBlock) -> dict[str, Tensor]:
    return {name.removeprefix("block."): tensor.detach() for name, tensor in block.state_dict().items()}


@pytest.mark.parametrize(("width", "rates", "latent"), [(4, [2, 4, 8, 8], 64), (3, [2, 2], 5), (2, [3], 4)])
def test_shapes_are_those_of_the_codecs_own_encoder(width: int, rates: list[int], latent: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        encoder = Encoder(width, rates, latent)
    assert shapes(width, rates, latent) == {name: tuple(t.shape) for name, t in encoder.state_dict().items()}


@pytest.mark.parametrize("rates", [[2, 4, 8, 8], [2, 2], [3]])
def test_all_stages_are_the_codecs_own_encoder(rates: list[int]) -> None:
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(0)
        encoder = Encoder(4, rates, 16).requires_grad_(False)
    x = torch.randn(2, 1, 6 * math.prod(rates), generator=torch.Generator().manual_seed(1))
    y = x[:, :, None].contiguous(memory_format=torch.channels_last)
    for stage in stages(encoder.state_dict(), rates):
        y = stage(y)
    torch.testing.assert_close(y[:, :, 0], encoder(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("samples", [64, 1_000])
def test_a_stage_is_the_codecs_block(
    block: EncoderBlock, monkeypatch: pytest.MonkeyPatch, packs: bool, samples: int
) -> None:
    """With oneDNN's own weights, and as it runs where torch has none of its operations."""
    if not packs:
        monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    x = torch.randn(2, 16, samples, generator=torch.Generator().manual_seed(1))
    expected = block(x)
    stage = Stage(_block(tensors(block), 4))
    for _ in range(2):  # the second time with weights that are packed already
        given = x[:, :, None].contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(stage(given)[:, :, 0], expected, atol=1e-5, rtol=1e-4)


def test_a_stage_knows_its_hop_and_its_reach(block: EncoderBlock) -> None:
    """A change of one input step reaches no output step further away than the context, and some at that distance."""
    block.requires_grad_(True)
    stage = Stage(_block(tensors(block), 4))
    assert stage.hop == 4
    x = torch.zeros(1, 16, 4 * 64, requires_grad=True)
    with torch.enable_grad():
        block(x)[0, :, 32].sum().backward()
    assert x.grad is not None
    felt = x.grad[0].abs().sum(0).nonzero().flatten()
    # Output step 32 stands on input steps 128 to 131.
    beyond = max(128 - int(felt.min()), int(felt.max()) - 131)
    assert 4 * (stage.context - 1) < beyond <= 4 * stage.context


def test_weights_are_packed_again_after_they_are_converted() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolution = Convolution(nn.utils.weight_norm(nn.Conv1d(16, 16, 3)).state_dict(), padding=1)
    x = torch.randn(1, 16, 1, 50).contiguous(memory_format=torch.channels_last)
    fine = convolution(x)
    rough = convolution.bfloat16()(x.bfloat16())
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), fine, atol=0.05, rtol=0.05)
