#!/usr/bin/env bash
# dcase_util: cutting audio into segments loses the last one where it ends with the file, and runs into what it skips.
#
# Versions: dcase_util 0.2.20, numpy 2.4.6.
#
# AudioContainer.segments keeps a segment only if it ends before the end of the audio, not at it. A file of 10 s has
# nine segments of 1 s, one of 5 s and none of 10 s; one sample more gives ten of 1 s. active_segments loses its last
# ones likewise, and with skip_segments a segment that only touches what is skipped is lost. frames() of the same class
# has all ten. skip_segments are tried once, in their order: a start moved behind one can land in another that came
# before it, so a list that is not sorted by onset lets skipped events in.
#
# Why it matters: clips of exactly 4, 5 or 10 s are what data sets of sounds consist of, and their ends, or all of a
# clip, never reach training or test. Lists of events sorted by class are common too, and segments meant as background
# then hold events. Append one sample of silence, or cut with numpy; sort skip_segments by onset and merge them.
#
# Seen on 2026-11-28:
#   audio        segment   segments   whole ones in it
#   10 s             1 s          9   10
#   10 s             5 s          1    2
#   10 s            10 s          0    1
#   10 s + 1         1 s         10   10
#   active from 2 to 5 s: [(2.0, 3.0), (3.0, 4.0)]
#   skip 3 to 4 s: [(0.0, 1.0), (1.0, 2.0), (4.0, 5.0), (5.0, 6.0), (6.0, 7.0), (7.0, 8.0), (8.0, 9.0)]
#   skip 3.2 to 5.6 and 6.2 to 7 s, sorted: [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (7.0, 8.0), (8.0, 9.0)]
#   the same, later one first: [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (5.6, 6.6), (7.0, 8.0), (8.0, 9.0)]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'setuptools<81' \
  dcase_util==0.2.20 numpy==2.4.6 scipy==1.17.1
cd "$work"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from dcase_util.containers import AudioContainer

print(*(f"{name} {version(name)}" for name in ("dcase_util", "numpy")), sep=", ")
rate = 16_000
noise = 0.1 * np.random.default_rng(0).standard_normal(10 * rate + 1)


def cut(samples, seconds, **options):
    audio = AudioContainer(data=noise[:samples].copy(), fs=rate)
    parts, times = audio.segments(segment_length_seconds=seconds, **options)
    spans = [(float(t.onset), float(t.offset)) for t in times]
    assert all(len(part) == seconds * rate for part in parts) and len(parts) == len(spans)
    return spans


found = {}
print("audio        segment   segments   whole ones in it")
for name, samples, seconds in (
    ("10 s", 10 * rate, 1),
    ("10 s", 10 * rate, 5),
    ("10 s", 10 * rate, 10),
    ("10 s + 1", 10 * rate + 1, 1),
):
    found[name, seconds] = len(cut(samples, seconds)), samples // (seconds * rate)
    print(f"{name:10} {seconds:7d} s {found[name, seconds][0]:10d} {found[name, seconds][1]:4d}")
frames = AudioContainer(data=noise[: 10 * rate].copy(), fs=rate).frames(frame_length_seconds=1, hop_length_seconds=1)
assert frames.shape == (rate, 10), "frames() has all ten"

active = cut(10 * rate, 1, active_segments=[{"onset": 2.0, "offset": 5.0}])
print("active from 2 to 5 s:", active)
touching = cut(10 * rate, 1, skip_segments=[{"onset": 3.0, "offset": 4.0}])
print("skip 3 to 4 s:", touching)
events = [{"onset": 3.2, "offset": 5.6}, {"onset": 6.2, "offset": 7.0}]
in_order, backwards = (cut(10 * rate, 1, skip_segments=skips) for skips in (events, events[::-1]))
print("skip 3.2 to 5.6 and 6.2 to 7 s, sorted:", in_order)
print("the same, later one first:", backwards)


def overlap(spans):
    """Seconds of the segments that lie in the events."""
    return sum(max(0.0, min(b, e["offset"]) - max(a, e["onset"])) for a, b in spans for e in events)


assert [ours for ours, _ in found.values()] == [9, 1, 0, 10], "the last segments are there, or others are missing"
assert [right for _, right in found.values()] == [10, 2, 1, 10]
assert active == [(2.0, 3.0), (3.0, 4.0)] and (1.0, 2.0) in touching and (2.0, 3.0) not in touching
assert overlap(in_order) == 0 and abs(overlap(backwards) - 0.4) < 1e-6, "the order of skip_segments has another effect"
print("as described: the end is missing, and a skipped event is in")
PY
