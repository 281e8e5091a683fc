"""What every front end in the registry promises, and a HEAR module as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hear_multiview.embedder import Embedder
from hear_multiview.frontends import LOADERS, load_frontend
from hear_multiview.frontends.base import PRECISIONS, FrontEnd
from hear_multiview.frontends.frame_times import frame_centres

HEAR_MODULE = "hear:hear_multiview.references.mel_statistics"


@pytest.fixture(scope="module", params=[*LOADERS, HEAR_MODULE])
def front(request: pytest.FixtureRequest) -> FrontEnd:
    official = request.param == "dac_44khz"
    path: Path | None = request.getfixturevalue("official_codec_file") if official else None
    return load_frontend(request.param, path)


#: Checkpoints hold these digests: another one would disown all that were trained on the front end.
DIGESTS = {
    "demo": "478a385120a608a48a4c6189ddb3cf82227e51bf3acc473a22dd4c4cedd4d570",
    "log_mel": "9b45ca0cdef7d1191f31d5e29f06a6d18fb91c10e4342ab4fbf401114f748f99",
    "log_mel_16k": "653311be9e5ea3c6547b5e0910754efb65ed991f72d36c3e6d5bfa53f525e467",
    "hear:hear_multiview.references.random_projection": (
        "e3b18dd159aa301bf8ea59b16116fb910594c73e5ebbd9dea10a1ec38085523c"
    ),
    HEAR_MODULE: "7b68ddc7749aaeaa11df13f6abd453aba8f38af1491ca4b9cc1e5bd8bde6fe9b",
}


def sound(front: FrontEnd, samples: int, clips: int = 1, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(seed))


def streamed(chunks: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    frames, times = zip(*chunks, strict=True)
    return torch.cat(frames, dim=1), torch.cat(times)


def test_what_it_says_of_itself(front: FrontEnd) -> None:
    assert front.name in (*LOADERS, HEAR_MODULE)
    assert front.dim % 2 == 0
    assert front.hop > 0
    assert front.sample_rate >= 8_000
    assert front.precision == PRECISIONS[0]
    assert len(bytes.fromhex(front.digest)) == 32
    assert isinstance(front, torch.nn.Module)
    assert not any(module.training for module in front.modules())
    assert not any(parameter.requires_grad for parameter in front.parameters())


@pytest.mark.parametrize("name", DIGESTS)
def test_digests_do_not_change(name: str) -> None:
    assert load_frontend(name).digest == DIGESTS[name]


@pytest.mark.parametrize("hops", [0.5, 1, 3.2, 7.7])
def test_frames_come_with_their_times(front: FrontEnd, hops: float) -> None:
    samples = round(hops * front.hop)
    frames, times = streamed(front.stream(sound(front, samples, clips=2)))
    assert frames.dtype == times.dtype == torch.float32
    assert frames.shape == (2, len(times), front.dim)
    assert times.device.type == "cpu"
    assert torch.isfinite(frames).all()
    if front.padded:
        assert torch.equal(times, frame_centres(0, -(-samples // int(front.hop)), int(front.hop), front.sample_rate))
    found, found_times = Embedder(front, None, "frontend").frames(sound(front, samples, clips=2))
    within = int((times.double() * front.sample_rate <= 1000 * samples + 1).sum())
    assert torch.equal(found, frames[:, :within])
    assert torch.equal(found_times, times[:within])


def test_it_depends_on_the_audio_alone(front: FrontEnd) -> None:
    """Not on what it has seen before, nor on a stream that nobody has finished."""
    lengths = [round(hops * front.hop) for hops in (3.2, 2, 5.5)]
    first = [streamed(front.stream(sound(front, samples))) for samples in lengths]
    unfinished = front.stream(sound(front, lengths[0], seed=1))
    next(unfinished)
    for order in itertools.permutations(range(3)):
        for k in order:
            frames, times = streamed(front.stream(sound(front, lengths[k])))
            assert torch.equal(frames, first[k][0])
            assert torch.equal(times, first[k][1])
