"""The variational autoencoder against its definition."""

from __future__ import annotations

import pytest
import torch

from training.data.batches import Batch
from training.systems.music.methods import MultiViewVAE


@pytest.fixture
def vae() -> MultiViewVAE:
    torch.manual_seed(0)
    vae = MultiViewVAE(dim=6, width=8, depth=1, latent=4)
    vae.encoder.mean, vae.encoder.scale = torch.randn(6), torch.rand(6) + 0.5
    return vae


def test_the_vae_decodes_private_and_fused_draws(vae: MultiViewVAE) -> None:
    """x̂_i = decoder(z_p,i ⊕ z_s), with z_s from q(z_s|x_1) · q(z_s|x_2) / N(0, 1), one frame at a time."""
    x = torch.randn(2, 3, 5, 6)
    out = vae(Batch((x[0], x[1]), {}))
    targets = [(view - vae.encoder.mean) / vae.encoder.scale for view in x]
    means, precisions = [], []
    for i, target in enumerate(targets):
        mean, log_variance = (
            vae.encoder.net(target).reshape(15, 4),
            -(1 + vae.log_variance(target).exp()).log().reshape(15, 4),
        )
        torch.testing.assert_close(out.target[i], target)
        torch.testing.assert_close(out.private[i].mean, mean[:, :2])
        torch.testing.assert_close(out.private[i].log_variance, log_variance[:, :2])
        means.append(mean[:, 2:])
        precisions.append((-log_variance[:, 2:]).exp())
        z = torch.cat([out.private[i].sample, out.shared.sample], dim=-1)
        torch.testing.assert_close(out.reconstruction[i], vae.decoder(z).reshape(3, 5, 6))
    total = precisions[0] + precisions[1] - 1
    torch.testing.assert_close(out.shared.mean, (precisions[0] * means[0] + precisions[1] * means[1]) / total)
    torch.testing.assert_close(out.shared.log_variance, (1 / total).log())


def test_an_embedding_of_the_vae_is_its_posterior_mean(vae: MultiViewVAE) -> None:
    x = torch.randn(3, 5, 6)
    private, shared = vae.encoder(x)
    assert private.shape == shared.shape == (3, 5, 2)
    of_private, of_shared = vae.posteriors(x)
    assert torch.equal(of_private.mean, private.reshape(15, 2))
    assert torch.equal(of_shared.mean, shared.reshape(15, 2))
