"""The multi-view autoencoder against its definition."""

from __future__ import annotations

import pytest
import torch

from training.data.batches import Batch
from training.systems.multiview.methods import (
    ContrastiveEncoder,
    MultiViewAutoencoder,
    SingleViewAutoencoder,
    SupervisedEncoder,
)


def batch(x_1: torch.Tensor, x_2: torch.Tensor) -> Batch:
    """A batch of the views [pair, frame, dim], with some labels."""
    pairs = len(x_1)
    groups = torch.arange(pairs) % 3
    return Batch((x_1, x_2), {"source": torch.randint(2, (2, pairs, 8)).float(), "group": torch.stack([groups] * 2)})


@pytest.fixture
def model() -> MultiViewAutoencoder:
    torch.manual_seed(0)
    model = MultiViewAutoencoder(dim=6, width=8, depth=1)
    model.encoder.mean, model.encoder.scale = torch.randn(6), torch.rand(6) + 0.5
    return model


def test_definition(model: MultiViewAutoencoder) -> None:
    """x̂_i = decoder(z_p,i ⊕ (z_s,1 + z_s,2) / 2), with one encoder for both views."""
    x = torch.randn(2, 3, 5, 6)
    out = model(batch(x[0], x[1]))
    latents = [model.encoder.net((view - model.encoder.mean) / model.encoder.scale) for view in x]
    fused = (latents[0][..., 3:] + latents[1][..., 3:]) / 2
    for i in range(2):
        torch.testing.assert_close(out.private[i], latents[i][..., :3])
        torch.testing.assert_close(out.shared[i], latents[i][..., 3:])
        torch.testing.assert_close(out.target[i], (x[i] - model.encoder.mean) / model.encoder.scale)
        torch.testing.assert_close(
            out.reconstruction[i], model.decoder(torch.cat([latents[i][..., :3], fused], dim=-1))
        )


def test_a_mask_hides_entries_of_the_private_half_from_the_decoder_only(model: MultiViewAutoencoder) -> None:
    seen: list[torch.Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x_1, x_2 = torch.randn(2, 50, 20, 6)
    whole = model(batch(x_1, x_2))
    model.mask = 0.4
    out = model(batch(x_1, x_2))
    for i in range(2):
        assert torch.equal(out.private[i], whole.private[i])
        private, fused = seen[2 + i].split(3, dim=-1)
        hidden = private == 0
        assert hidden.float().mean() == pytest.approx(0.4, abs=0.03)
        assert torch.equal(private[~hidden], whole.private[i][~hidden])
        assert torch.equal(fused, seen[i][..., 3:])
    assert not torch.equal(seen[2][..., :3] == 0, seen[3][..., :3] == 0)
    model.eval()
    assert torch.equal(model(batch(x_1, x_2)).reconstruction[0], whole.reconstruction[0])


def test_the_views_are_treated_alike(model: MultiViewAutoencoder) -> None:
    x_1, x_2 = torch.randn(2, 3, 5, 6)
    one, two = model(batch(x_1, x_2)), model(batch(x_2, x_1))
    for name in ("target", "reconstruction", "private", "shared"):
        for i in range(2):
            torch.testing.assert_close(getattr(one, name)[i], getattr(two, name)[1 - i])


def test_the_other_view_reaches_a_reconstruction_only_through_the_shared_half(model: MultiViewAutoencoder) -> None:
    x_1, x_2 = (torch.randn(1, 2, 6, requires_grad=True) for _ in range(2))
    out = model(batch(x_1, x_2))
    (through,) = torch.autograd.grad(out.reconstruction[0].sum(), x_2, retain_graph=True)
    assert through.abs().sum() > 0
    (private,) = torch.autograd.grad(out.private[0].sum(), x_2, allow_unused=True)
    assert private is None


def test_a_single_view_is_reconstructed_from_its_own_latent_alone() -> None:
    torch.manual_seed(0)
    model = SingleViewAutoencoder(dim=6, width=8, depth=1)
    x_1, x_2 = torch.randn(2, 3, 5, 6)
    out = model(batch(x_1, x_2))
    for i, x in enumerate((x_1, x_2)):
        torch.testing.assert_close(out.reconstruction[i], model.decoder(model.encoder.net(x)))
        torch.testing.assert_close(out.target[i], x)
    torch.testing.assert_close(model(batch(x_1, torch.zeros(3, 5, 6))).reconstruction[0], out.reconstruction[0])


def test_the_contrastive_encoder_gives_the_mean_of_the_whole_latent() -> None:
    torch.manual_seed(0)
    model = ContrastiveEncoder(dim=6, width=8, depth=1, temperature=0.2)
    x_1, x_2 = torch.randn(2, 3, 5, 6)
    out = model(batch(x_1, x_2))
    assert out.temperature == 0.2
    for z, x in zip(out.embedding, (x_1, x_2), strict=True):
        torch.testing.assert_close(z, model.encoder.net(x).mean(1))


def test_the_supervised_encoder_keeps_clips_and_labels_together() -> None:
    torch.manual_seed(0)
    model = SupervisedEncoder(dim=6, sources=8, sensors=3, width=8, depth=1)
    given = batch(*torch.randn(2, 4, 5, 6))
    out = model(given)
    assert out.source_logits.shape == out.sources.shape == (8, 8)
    assert out.sensor_logits.shape == (8, 3)
    assert out.sensor.tolist() == given.labels["group"].flatten().tolist()
    for i in range(2):
        rows = slice(4 * i, 4 * i + 4)
        logits = model.head(model.encoder.net(given.views[i]).mean(1))
        torch.testing.assert_close(torch.cat([out.source_logits, out.sensor_logits], 1)[rows], logits)
        assert torch.equal(out.sources[rows], given.labels["source"][i])


@pytest.mark.parametrize("mask", [-0.1, 1.0])
def test_a_mask_is_a_share(mask: float) -> None:
    with pytest.raises(ValueError, match=str(mask)):
        MultiViewAutoencoder(dim=6, width=8, depth=1, mask=mask)
