"""Which frames lie within the audio, counted in whole samples, at any length."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from hear_multiview.frontends.frame_times import frame_centres, frames_within


@given(
    samples=st.integers(1, 6 * 3600 * 48_000),
    hop=st.sampled_from([160, 256, 441, 512, 800]),
    sample_rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]),
)
def test_a_frame_is_within_as_long_as_its_centre_is(samples: int, hop: int, sample_rate: int) -> None:
    """(i + ½) · hop ≤ samples, without rounding, of the last frames of up to six hours."""
    frames = -(-samples // hop)
    start = max(frames - 5, 0)
    times = frame_centres(start, frames, hop, sample_rate)
    expected = sum((2 * i + 1) * hop <= 2 * samples for i in range(start, frames))
    assert frames_within(times, samples, hop, sample_rate) == expected


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 2000))
def test_chunks_have_the_times_of_the_whole(a: int, b: int, c: int) -> None:
    start, middle, stop = sorted((a, b, c))
    parts = frame_centres(start, middle, 512, 44_100), frame_centres(middle, stop, 512, 44_100)
    assert torch.equal(torch.cat(parts), frame_centres(start, stop, 512, 44_100))
