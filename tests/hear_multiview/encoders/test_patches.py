"""What stays and what changes go to different halves, exactly."""

from __future__ import annotations

import pytest
import torch

from hear_multiview.encoders.patches import PatchEncoder


@pytest.fixture
def encoder() -> PatchEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PatchEncoder(dim=6, private=5, shared=4, window=7, width=8).eval()


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, count, 6, generator=torch.Generator().manual_seed(seed))


def test_a_constant_offset_of_the_spectrum_leaves_the_private_half_alone(encoder: PatchEncoder) -> None:
    """A microphone's response is such an offset in log-mel frames."""
    x = frames(40)
    offset = 3 * torch.randn(6, generator=torch.Generator().manual_seed(1))
    private, shared = encoder(x)
    private_offset, shared_offset = encoder(x + offset)
    torch.testing.assert_close(private_offset, private, atol=1e-4, rtol=1e-4)
    assert (shared_offset - shared).abs().amax(dim=(0, 1)).min() > 1e-2


def test_what_has_no_local_mean_leaves_the_shared_half_alone(encoder: PatchEncoder) -> None:
    """A pattern with the window's period and zero mean, away from the ends of the clip."""
    x = frames(60)
    pattern = torch.randn(7, 6, generator=torch.Generator().manual_seed(2))
    pattern -= pattern.mean(0)
    other = x + pattern.repeat(9, 1)[:60]
    inside = slice(4, 26)
    private, shared = (z[:, inside] for z in encoder(x))
    private_other, shared_other = (z[:, inside] for z in encoder(other))
    torch.testing.assert_close(shared_other, shared, atol=1e-4, rtol=1e-4)
    assert (private_other - private).abs().mean() > 1e-2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"window": 4}, "window"), ({"private_frames": 3}, "private_frames"), ({"shared_frames": 0}, "shared_frames")],
)
def test_sizes_that_cannot_be_are_refused(arguments: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PatchEncoder(dim=4, **arguments)  # type: ignore[arg-type]
