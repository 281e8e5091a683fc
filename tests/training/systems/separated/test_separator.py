"""The separator: its sources sum to the mixture, do not depend on how a clip is cut, and come back from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from training.systems.separated import separator as module
from training.systems.separated.separator import MaskSeparator, load_separator, save_separator

TINY: dict[str, Any] = {"sources": 3, "n_fft": 256, "channels": (4, 6), "width": 16, "stacks": 2, "layers": 3}


@pytest.fixture
def tiny() -> MaskSeparator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskSeparator(**TINY)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("samples", [1, 100, 1000, 12_345])
def test_sources_sum_to_the_mixture_at_any_length_and_level(tiny: MaskSeparator, samples: int) -> None:
    audio = noise(2, samples) * torch.tensor([[1e-3], [10.0]])
    sources = tiny.separate(audio)
    assert sources.shape == (2, 3, samples)
    torch.testing.assert_close(sources.sum(1), audio, rtol=1e-3, atol=1e-4)
    # The level is taken out before the network and put back after it.
    torch.testing.assert_close(tiny.separate(100 * audio), 100 * sources, rtol=1e-3, atol=1e-3)


def test_sources_differ_and_silence_stays_silent(tiny: MaskSeparator) -> None:
    first, second, _ = tiny.separate(noise(1, 8000))[0]
    assert not torch.allclose(first, second)
    assert torch.equal(tiny.separate(torch.zeros(1, 5000)), torch.zeros(1, 3, 5000))


def test_chunks_give_what_the_whole_clip_gives(tiny: MaskSeparator, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = noise(2, 40_000) * torch.linspace(0.1, 2, 40_000)
    whole = tiny.separate(audio)
    calls = []
    forward = tiny.forward

    def counted(x: torch.Tensor) -> torch.Tensor:
        calls.append(x.shape[1])
        return forward(x)

    monkeypatch.setattr(tiny, "forward", counted)
    monkeypatch.setattr(module, "CHUNK", 0.4)
    torch.testing.assert_close(tiny.separate(audio), whole, rtol=1e-3, atol=1e-4)
    assert len(calls) == 7  # 40,000 samples in chunks of 50 hops
    # Bounded: no more than a chunk and what is seen to either side.
    assert max(calls) <= 50 * 128 + 2 * (tiny.context + 2) * 128


def test_a_mask_depends_on_no_more_than_its_context(tiny: MaskSeparator) -> None:
    audio = noise(1, 30_000)
    changed = audio.clone()
    changed[:, 20_000:] = noise(1, 10_000, seed=1)
    with torch.no_grad():
        difference = (tiny(audio) - tiny(changed)).abs().amax((0, 1))
    reach = (tiny.context + 2) * tiny.hop
    assert difference[: 20_000 - reach].max() < 1e-5
    assert difference[20_000 - reach :].max() > 1e-3


def test_a_separator_comes_back_with_its_card(tiny: MaskSeparator, tmp_path: Path) -> None:
    path = tmp_path / "early.safetensors"
    save_separator(path, tiny, {"state": "early", "steps": 7})
    again, card = load_separator(path)
    assert (card["state"], card["steps"]) == ("early", 7)
    assert again.arguments == tiny.arguments
    assert torch.equal(again.separate(noise(1, 3000)), tiny.separate(noise(1, 3000)))
    with pytest.raises(FileNotFoundError, match=r"late\.safetensors"):
        load_separator(tmp_path / "late.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"early\.safetensors"):
        load_separator(path)
    other = tmp_path / "other.safetensors"
    save_separator(other, tiny, {})
    content = other.read_bytes().replace(b"separator", b"somethin_")
    other.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.safetensors"):
        load_separator(other)
