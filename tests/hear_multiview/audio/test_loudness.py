"""BS.1770 against pyloudnorm, and the two rules that the paper leaves open."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hear_multiview.audio.loudness import CHUNK_SAMPLES, TARGET, gains, integrated_loudness

libebur128 = runpy.run_path(str(Path(__file__).with_name("libebur128.py")))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.2, 13.0])
def test_agrees_with_pyloudnorm_on_whole_blocks(rate: int, seconds: float) -> None:
    rng = np.random.default_rng(0)
    n = round(rate * seconds)
    clip = rng.normal(size=n) * 0.3 * np.linspace(0.01, 1, n) ** 2  # quiet parts, so that both gates have work
    assert rate * 13 > CHUNK_SAMPLES / 4, "the long clip should cross a chunk at some rate"
    assert integrated_loudness(clip, rate) == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(clip), abs=1e-6)


@pytest.mark.parametrize("rate", libebur128["RATES"])
def test_loudness_beside_libebur128(rate: int) -> None:
    """docs/reliability.md states these bounds. pyloudnorm designs the standard's filters by another formula, which is
    lower the lower the rate. The codecs take audio at 44.1 kHz."""
    most = {8000: 0.3, 11_025: 0.2, 16_000: 0.15}.get(rate, 0.1)
    with libebur128["TABLE"].open(encoding="utf-8", newline="") as file:
        expected = {int(row["signal"]): float(row["lufs"]) for row in csv.DictReader(file)}
    assert len(expected) == libebur128["SIGNALS"]
    own = [(n, *libebur128["signal"](n)) for n in expected]
    found = {n: integrated_loudness(samples, its) - expected[n] for n, samples, its in own if its == rate}
    assert len(found) == libebur128["SIGNALS"] / len(libebur128["RATES"])
    assert max(map(abs, found.values())) < most


def test_a_chunk_boundary_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    clip = rng.normal(size=CHUNK_SAMPLES * 2 + 12_345)
    whole = round(len(clip) / 4410) * 4410
    clip = clip[:whole] if whole <= len(clip) else clip[: whole - 4410]
    assert integrated_loudness(clip, 44_100) == pytest.approx(
        pyloudnorm.Meter(44_100).integrated_loudness(clip), abs=1e-6
    )


def test_a_short_clip_is_one_block_of_its_own_length() -> None:
    """Repeating a short stationary clip must not change its loudness: no silence is averaged in."""
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4410 * 4) / 44_100)
    assert integrated_loudness(tone[:4410], 44_100) == pytest.approx(integrated_loudness(tone, 44_100), abs=0.1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30_000), st.floats(-60, 10), st.integers(0, 5))
def test_normalised_loudness_is_the_target_or_the_peak_is_full_scale(samples: int, level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    audio = torch.from_numpy(rng.normal(size=(1, samples)) * 10 ** (level / 20)).float()
    before = integrated_loudness(audio[0].numpy(), 44_100)
    normalised = (audio * gains(audio, 44_100))[0].numpy()
    peak = np.abs(normalised).max()
    assert peak <= 1 + 1e-6
    if np.isfinite(before) and peak < 1 - 1e-6:
        assert integrated_loudness(normalised, 44_100) == pytest.approx(TARGET, abs=1e-3)


def test_silence_stays_silence() -> None:
    audio = torch.zeros(2, 44_100)
    audio[1, 100] = 1e-7
    assert torch.equal(gains(audio, 44_100), torch.ones(2, 1))


def test_each_clip_has_its_own_gain() -> None:
    audio = torch.randn(3, 44_100, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.001], [0.01], [0.1]])
    together = gains(audio, 44_100)
    alone = torch.cat([gains(clip[None], 44_100) for clip in audio])
    assert torch.equal(together, alone)
    assert together[0] > together[1] > together[2]
