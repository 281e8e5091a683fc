"""Separated channels as renditions: audible ones only, each clip separated once for all of them, in a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.audio import write_pcm16
from training.data.extraction import extract, frames_of
from training.data.records import Clip, Description, Partition, Segment
from training.data.renditions import maker
from training.systems.separated.renditions import audible_channels, separating

NAMES = tuple(f"separated({state},{channel})" for state in range(2) for channel in range(4))


class Shares:
    """A separator that gives fixed shares of the mixture, and counts what it is asked."""

    sources = 4

    def __init__(self, *shares: float, sample_rate: int = 16_000) -> None:
        self.shares, self.sample_rate, self.calls = torch.tensor(shares), sample_rate, 0

    def separate(self, audio: torch.Tensor) -> torch.Tensor:
        """[clip, 4, sample]."""
        self.calls += 1
        return self.shares[None, :, None] * audio[:, None]


@pytest.fixture
def audio() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)


def test_audible_channels_are_sorted_and_counted_again(audio: np.ndarray) -> None:
    states = [Shares(0.09, -0.5, 0.11, 0.01), Shares(0.0, 0.0, 0.0, 0.0)]
    with separating(states):
        made = [maker(name)(audio, 16_000) for name in NAMES]
    for channel, share in zip(made, (-0.5, 0.11, -0.5, 0.11, 0, 0, 0, 0), strict=True):
        np.testing.assert_allclose(channel, np.float32(share) * audio, rtol=1e-6)
    assert [state.calls for state in states] == [1, 1]


def test_other_sample_rates_keep_the_length() -> None:
    times = np.arange(7001) / 22_050
    tone = np.sin(2 * np.pi * 440 * times).astype(np.float32)
    (channel,) = audible_channels(Shares(0.5, 0.0, 0.0, 0.0, sample_rate=8000), tone, 22_050)
    assert len(channel) == len(tone)
    np.testing.assert_allclose(channel[500:-500], 0.5 * tone[500:-500], atol=0.01)


def test_faults_name_the_rendition(audio: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"separated\(0,1\)"):
        maker("separated(0,1)")(audio, 16_000)
    with separating([Shares(1.0, 0, 0, 0)]):
        for name in ("separated(1,0)", "separated(0,4)", "separated(0,-1)", "separated(0.5,0)"):
            with pytest.raises(ValueError, match=name.replace("(", r"\(").replace(")", r"\)")):
                maker(name)(audio, 16_000)
    with pytest.raises(ValueError, match=r"separated\(0,0\)"):  # the block has ended
        maker("separated(0,0)")(audio, 16_000)


def test_a_store_has_every_channel_of_one_separation_and_resumes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    front, audio = load_frontend("log_mel_16k"), {}
    for name in ("a.wav", "b.wav", "c.wav"):
        audio[name] = tmp_path / name
        write_pcm16(audio[name], rng.normal(0, 0.1, 8000), front.sample_rate)
    about = Description([Clip(name, 0) for name in audio], {}, Partition((0,)), renditions=("original", *NAMES))
    first, states = Shares(0.6, 0.3, 0.1, 0.0), [Shares(0.6, 0.3, 0.2, 0.0), Shares(0.5, 0.5, 0.0, 0.0)]

    def interrupted(audio: torch.Tensor) -> torch.Tensor:
        if first.calls == 2:  # one for the size of the arrays, and one clip
            raise KeyboardInterrupt
        return Shares.separate(first, audio)

    first.separate = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), separating([first, states[1]]):
        extract(about, audio, front, tmp_path / "store")
    with separating(states):
        store = extract(about, audio, front, tmp_path / "store")
    assert states[0].calls <= 2
    assert states[1].calls <= 2 + 3 + 1
    from sonyc_tasks.dataset.audio import read_mono

    sound = torch.from_numpy(read_mono(audio["c.wav"], front.sample_rate))
    for name, share in (("separated(0,1)", 0.3), ("separated(0,3)", 0.6), ("separated(1,2)", 0.5)):
        with torch.no_grad():
            wanted = frames_of(front, share * sound)
        found = store.read([Segment(2, name, 0, len(wanted))])[0]
        torch.testing.assert_close(found, wanted, atol=0.02, rtol=2**-10)  # half precision; shares are float32
    with separating([]):  # nothing is left to separate
        extract(about, audio, front, tmp_path / "store")
